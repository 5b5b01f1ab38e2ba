// The table of the last orders: always the same number of rows.

import { duration } from "./plots.js";
import { write } from "./processes.js";

const ROWS = 12;
const rows = [];

export function showOrders(body, orders, chosen, choose) {
  if (!rows.length) {
    for (let number = 0; number < ROWS; number++) rows.push(makeRow(choose));
    body.replaceChildren(...rows.map((row) => row.line));
  }
  rows.forEach((row, index) => update(row, orders[index], chosen));
}

function makeRow(choose) {
  const line = document.createElement("tr");
  const [order, state, availability, confirmed, outcome] = Array.from({ length: 5 }, () => line.insertCell());
  confirmed.className = "number sync";
  outcome.className = "number async";
  const button = document.createElement("button");
  button.hidden = true;
  button.addEventListener("click", () => choose(button.dataset.id));
  order.append(button);
  return { line, button, state, availability, confirmed, outcome };
}

function update(row, order, chosen) {
  row.button.hidden = !order;
  row.line.toggleAttribute("data-chosen", Boolean(order) && order.id === chosen);
  if (!order) {
    for (const cell of [row.state, row.availability, row.confirmed, row.outcome]) write(cell, "");
    return;
  }
  row.button.dataset.id = order.id;
  // The end of the id: its beginning is the time, the same for all.
  write(row.button, `…${order.id.slice(-12)}`);
  row.button.setAttribute("aria-label", `Show order ${order.id}`);
  row.button.setAttribute("aria-pressed", String(order.id === chosen));
  write(row.state, order.status);
  row.state.classList.toggle("fault", order.status === "REJECTED");
  write(row.availability, order.availability);
  row.availability.classList.toggle("fault", order.availability === "UNVERIFIED");
  write(row.confirmed, duration(order.confirmed_ms));
  write(row.outcome, duration(order.outcome_ms));
}
