// The page: draws every snapshot, and sends what is pressed. All state is in the server; only the chosen order is kept here.

import { follow, get, post } from "./connection.js";
import { drawBacklog, drawLatency, duration, latest } from "./plots.js";
import { showOrders } from "./orders.js";
import { showProcesses, write } from "./processes.js";
import { showWays } from "./ways.js";
import { showTimeline, showWaterfall } from "./waterfall.js";

const RATES = [0, 2, 10, 50];
const PAYMENTS = [
  ["mixed", "as in the data"], ["approved", "approved"], ["slow", "slow"], ["hanging", "hanging"], ["failing", "failing"],
  ["declined", "declined"],
];
const FAULTY_PAYMENTS = ["slow", "hanging", "failing", "declined"];
const SPIKE = 200;
const BREAKER = ["closed", "half open", "open"];
// Name, label, what it belongs to, and the value from which it is a fault.
const GAUGES = [
  ["accepted_rate", "accepted per second", "sync", Infinity],
  ["orders_outbox", "outbox of order-service", "sync", 20],
  ["breaker", "circuit breaker", "sync", 1],
  ["finished_rate", "finished per second", "async", Infinity],
  ["orders_lag", "lag of processing-service", "async", 20],
  ["processing_outbox", "outbox of processing-service", "async", 20],
  ["outcomes_lag", "lag of order-service", "async", 20],
  ["retry_store", "events in retry stores", "async", 1],
  ["dead_letters", "dead letters", "async", 1],
];
const TOTALS = [
  ["placed", "placed", "sync"], ["accepted", "accepted", "sync"], ["refused", "refused", "fault"], ["failed", "no answer", "fault"],
  ["fulfilled", "fulfilled", "async"], ["rejected", "rejected", "async"], ["unwatched", "not followed", "async"],
];

const at = (id) => document.getElementById(id);
let chosen = location.hash.slice(1);
let told = { run: null, number: 0 };
let reads = 0;

function show(snapshot) {
  showMoment(snapshot.moment);
  drawLatency(at("confirm-plot"), snapshot.seconds, "confirm");
  drawLatency(at("outcome-plot"), snapshot.seconds, "outcome");
  drawBacklog(at("backlog-plot"), snapshot.seconds);
  write(at("confirm-now"), duration(latest(snapshot.seconds, "confirm")));
  write(at("outcome-now"), duration(latest(snapshot.seconds, "outcome")));
  showProcesses(at("processes"), snapshot.processes, act);
  showFigures("gauges", GAUGES, snapshot.gauges, gauge);
  showFigures("totals", TOTALS, snapshot.totals, String);
  showOrders(at("orders"), snapshot.orders, chosen, choose);
  check("rates", snapshot.load.rate);
  check("payments", snapshot.load.payments);
  showWays(at("ways"), snapshot.ways);
  showStory(snapshot);
  if (!snapshot.has_telemetry) write(at("gauges-about"), "Telemetry goes elsewhere (--otlp); only consumer lag is shown.");
}

function showMoment(moment) {
  write(at("moment-text"), moment.text);
  write(at("moment-figures"), moment.figures);
  link(at("moment-chapter"), moment.chapter);
  at("moment").classList.toggle("fault", moment.is_fault);
}

function link(element, chapter) {
  write(element, chapter.title);
  if (element.getAttribute("href") !== chapter.href) element.setAttribute("href", chapter.href);
}

function gauge(value, name) {
  if (value === undefined) return "–";
  return name === "breaker" ? BREAKER[value] : String(value);
}

function showFigures(id, figures, values, format) {
  const list = at(id);
  if (!list.childElementCount) list.append(...figures.map(makeFigure));
  figures.forEach(([name, , kind, limit], index) => {
    const value = list.children[index].lastElementChild;
    write(value, format(values[name], name));
    value.className = values[name] >= limit ? "fault" : kind === "fault" && !values[name] ? "" : kind;
  });
}

function makeFigure([name, label]) {
  const box = document.createElement("div");
  const term = document.createElement("dt");
  const value = document.createElement("dd");
  term.textContent = label;
  value.id = name;
  box.append(term, value);
  return box;
}

// Only new lines are added: they are announced.
function showStory({ run, story }) {
  if (run !== told.run) {
    told = { run, number: 0 };
    at("story").replaceChildren();
  }
  for (const line of story.filter((line) => line.number > told.number).reverse()) {
    at("story").prepend(storyLine(line));
    told.number = line.number;
  }
  while (at("story").childElementCount > 30) at("story").lastElementChild.remove();
}

function storyLine(line) {
  const item = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = new Date(line.at).toLocaleTimeString("en-GB");
  const text = document.createElement("span");
  const chapter = document.createElement("a");
  link(chapter, line.chapter);
  text.append(`${line.text} `, chapter);
  item.append(time, text);
  return item;
}

// Sends a command and shows its answer.
async function send(path, body, words) {
  try {
    const answer = await post(path, body);
    tellAnswer(words(answer), answer.result === "failed" || answer.result === "refused");
  } catch (error) {
    tellAnswer(error.message, true);
  }
}

function tellAnswer(text, isFault) {
  write(at("answer"), text);
  at("answer").classList.toggle("fault", isFault);
}

function placed(answer) {
  if (answer.result !== "accepted") return `The order was ${answer.result === "refused" ? "refused" : "not placed"}: ${answer.error}`;
  choose(answer.order_id);
  return `Confirmed after ${duration(answer.confirmed_ms)}, stock ${answer.availability}. Its outcome comes later.`;
}

function act(name, action) {
  send(`/api/processes/${name}`, { action }, () => `${name}: ${action}.`);
}

async function choose(id) {
  chosen = id;
  history.replaceState(null, "", `#${id}`);
  await readChosen();
}

// Reads the chosen order now and while it, or its trace, may still grow.
async function readChosen() {
  const read = ++reads;
  for (const pause of [0, 300, 700, 1500, 3000, 5000, 10000, 30000]) {
    await new Promise((done) => setTimeout(done, pause));
    if (read !== reads || !chosen) return;
    await readOrder(chosen);
  }
}

async function readOrder(id) {
  try {
    const order = await get(`/api/orders/${id}`);
    if (id !== chosen) return;
    write(at("order-about"), `Order ${order.id}: ${order.status}, ${order.lines} lines, stock ${order.availability}, ${order.spans.length} spans`);
    showTimeline(at("timeline"), order.events);
    showWaterfall(at("waterfall"), order.spans);
  } catch (error) {
    write(at("order-about"), `Order ${id}: ${error.message}`);
  }
}

function makeChoices(id, choices, path, body) {
  for (const [value, label, isFaulty] of choices) {
    const choice = document.createElement("label");
    choice.className = isFaulty ? "choice fault" : "choice";
    const input = document.createElement("input");
    Object.assign(input, { type: "radio", name: id, value });
    input.addEventListener("change", () => send(path, body(value), () => ""));
    const text = document.createElement("span");
    text.textContent = label;
    choice.append(input, text);
    at(id).append(choice);
  }
}

// The server's state, whoever set it.
function check(id, value) {
  const input = at(id).querySelector(`input[value="${value}"]`);
  if (input) input.checked = true;
  else for (const other of at(id).querySelectorAll("input")) other.checked = false;
}

function tellConnection(state) {
  at("connection").dataset.state = state;
  write(at("connection"), state === "open" ? "Connected" : "Connection lost; trying again. What you see is the last state.");
}

makeChoices("rates", RATES.map((rate) => [rate, rate ? String(rate) : "none"]), "/api/rate", (rate) => ({ per_second: rate }));
makeChoices("payments", PAYMENTS.map(([name, label]) => [name, label, FAULTY_PAYMENTS.includes(name)]), "/api/payments", (payments) => ({ payments }));
at("place-one").addEventListener("click", () => send("/api/orders", {}, placed));
at("spike").addEventListener("click", () => send("/api/spike", { orders: SPIKE }, () => `${SPIKE} orders at once.`));
at("duplicate").addEventListener("click", () => send("/api/duplicate", {}, () => "The last event was published again."));
at("compare").addEventListener("click", () => send("/api/ways", {}, () => "20 orders are sent in each way."));
at("poison").addEventListener("click", () => send("/api/poison", {}, () => "A poison record was published."));
follow(show, tellConnection);
if (chosen) readChosen();
