// One order: its events as a timeline, its spans as a waterfall.

import { duration } from "./plots.js";

// Decided by order-service; all other events are outcomes of processing-service.
const SYNCHRONOUS = ["OrderPlaced", "CancellationRequested"];

export function showTimeline(list, events) {
  list.replaceChildren(...events.map((event) => {
    const item = document.createElement("li");
    if (SYNCHRONOUS.includes(event.name)) item.classList.add("sync");
    if (event.status === "REJECTED") item.classList.add("fault");
    const about = document.createElement("small");
    about.textContent = [`+${duration(event.after_ms)}`, event.status, event.reason].filter(Boolean).join(" · ");
    item.append(`${event.version} ${event.name}`, about);
    return item;
  }));
}

export function showWaterfall(box, spans) {
  const whole = Math.max(...spans.map((span) => span.from_ms + span.takes_ms), 1);
  box.replaceChildren(...spans.map((span) => row(span, whole)));
}

function row(span, whole) {
  const line = cell("", "span");
  if (span.service === "order-service") line.classList.add("sync");
  if (span.failed) line.classList.add("fault");
  const name = cell(`${span.service.replace("-service", "")} ${span.kind} ${span.name}`, "name");
  name.style.paddingLeft = `${Math.min(span.depth, 10) * 0.6}rem`;
  name.title = name.textContent;
  const bar = cell("", "bar");
  bar.style.left = `${(100 * span.from_ms) / whole}%`;
  bar.style.width = `${(100 * span.takes_ms) / whole}%`;
  const track = cell("", "track");
  track.append(bar);
  line.append(name, track, cell(duration(span.takes_ms), "takes"));
  return line;
}

function cell(text, kind) {
  const element = document.createElement("div");
  element.className = kind;
  element.textContent = text;
  return element;
}
