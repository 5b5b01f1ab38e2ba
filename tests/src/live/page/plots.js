// Latency over the last two minutes: for every second a dot at the median and a line up to the maximum. Both plots have the
// same logarithmic scale, so that the two halves can be compared.

const NAMESPACE = "http://www.w3.org/2000/svg";
const SECONDS = 120;
const LEFT = 48;
const BOTTOM = 20;
const TICKS = [[1, "1 ms"], [10, "10 ms"], [100, "100 ms"], [1000, "1 s"], [10000, "10 s"], [100000, "100 s"]];
const DECADES = 5;

export function drawLatency(plot, seconds, key) {
  const { clientWidth: width, clientHeight: height } = plot;
  plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const x = (age) => width - 6 - (age * (width - LEFT - 12)) / SECONDS;
  const y = (value) => {
    const decade = Math.log10(Math.min(Math.max(value, 1), 10 ** DECADES));
    return height - BOTTOM - (decade * (height - BOTTOM - 10)) / DECADES;
  };
  const parts = grid(x, y, width, height, TICKS);
  seconds.forEach((second, index) => {
    const at = x(seconds.length - 1 - index);
    const spread = second[key];
    if (spread) {
      parts.push(shape("line", { class: "range", x1: at, x2: at, y1: y(spread.p50), y2: y(spread.max) }));
      parts.push(shape("circle", { class: "median", cx: at, cy: y(spread.p50), r: 2 }));
    }
    if (key === "confirm" && second.failed) {
      parts.push(shape("rect", { class: "failure", x: at - 1.5, y: height - BOTTOM - 8, width: 3, height: 8 }));
    }
  });
  plot.replaceChildren(...parts);
}

// Events that wait: a bar per second, those in the outbox below those on the topic. The scale grows with the longest bar.
export function drawBacklog(plot, seconds) {
  const { clientWidth: width, clientHeight: height } = plot;
  plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const waiting = ({ orders_outbox: outbox = 0, orders_lag: lag = 0 }) => outbox + lag;
  const most = niceAbove(Math.max(10, ...seconds.map(waiting)));
  const x = (age) => width - 6 - (age * (width - LEFT - 12)) / SECONDS;
  const y = (value) => height - BOTTOM - (value * (height - BOTTOM - 10)) / most;
  const parts = grid(x, y, width, height, [[0, "0"], [most / 2, String(most / 2)], [most, String(most)]]);
  seconds.forEach((second, index) => {
    const at = x(seconds.length - 1 - index) - 1.5;
    const outbox = second.orders_outbox ?? 0;
    const bar = (name, from, to) => parts.push(shape("rect", { class: name, x: at, y: y(to), width: 3, height: y(from) - y(to) }));
    bar("outbox", 0, outbox);
    bar("lag", outbox, waiting(second));
  });
  plot.replaceChildren(...parts);
}

// The next of 10, 20, 50, 100, …
function niceAbove(value) {
  const decade = 10 ** Math.floor(Math.log10(value));
  return decade * [1, 2, 5, 10].find((factor) => decade * factor >= value);
}

function grid(x, y, width, height, ticks) {
  const parts = [];
  for (const [value, label] of ticks) {
    parts.push(shape("line", { class: "grid", x1: LEFT, x2: width - 6, y1: y(value), y2: y(value) }));
    parts.push(text(label, { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }));
  }
  for (const age of [120, 60, 0]) {
    const anchor = age === 0 ? "end" : "middle";
    parts.push(text(age ? `−${age} s` : "now", { x: x(age), y: height - 4, "text-anchor": anchor }));
  }
  return parts;
}

function shape(name, attributes) {
  const element = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function text(label, attributes) {
  const element = shape("text", attributes);
  element.textContent = label;
  return element;
}

// The latest median, or null.
export function latest(seconds, key) {
  const last = seconds.findLast((second) => second[key]);
  return last ? last[key].p50 : null;
}

// A duration in milliseconds, in three significant digits at most.
export function duration(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) return "–";
  if (milliseconds >= 10000) return `${(milliseconds / 1000).toFixed(0)} s`;
  if (milliseconds >= 1000) return `${(milliseconds / 1000).toFixed(1)} s`;
  return `${milliseconds < 10 ? milliseconds.toFixed(1) : milliseconds.toFixed(0)} ms`;
}
