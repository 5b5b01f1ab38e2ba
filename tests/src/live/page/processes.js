// The processes and their switches. Elements are made once and updated, so that the focus stays where it is.

const rows = new Map();

export function showProcesses(list, processes, act) {
  const names = processes.map((process) => process.name);
  if (names.join() !== [...rows.keys()].join()) {
    rows.clear();
    for (const name of names) rows.set(name, makeRow(name, act));
    list.replaceChildren(...[...rows.values()].map((row) => row.item));
  }
  for (const process of processes) update(rows.get(process.name), process);
}

function makeRow(name, act) {
  const item = document.createElement("li");
  const label = document.createElement("div");
  const title = document.createElement("strong");
  title.textContent = name;
  const state = document.createElement("div");
  state.className = "state";
  label.append(title, state);
  const buttons = document.createElement("div");
  buttons.className = "buttons";
  const button = () => {
    const made = document.createElement("button");
    made.addEventListener("click", () => {
      if (made.getAttribute("aria-disabled") !== "true") act(name, made.dataset.action);
    });
    buttons.append(made);
    return made;
  };
  const row = { item, state, name, stop: button(), freeze: button(), kill: button() };
  item.append(label, buttons);
  return row;
}

function update(row, process) {
  const { state, busy, ready, restarts } = process;
  const runs = state === "running" || state === "frozen";
  set(row.stop, runs ? "stop" : "start", row.name, busy || state === "restarting");
  set(row.freeze, state === "frozen" ? "resume" : "freeze", row.name, busy || !runs);
  set(row.kill, "kill", row.name, busy || !runs);
  const words = [busy ? `${state}, ${busy} in progress` : state];
  if (state === "running") words.push(ready ? "ready" : "not ready");
  if (restarts) words.push(`restarts: ${restarts}`);
  write(row.state, words.join(", "));
  row.state.classList.toggle("fault", state !== "running" || !ready);
}

function set(button, action, name, isDisabled) {
  button.dataset.action = action;
  write(button, action[0].toUpperCase() + action.slice(1));
  button.setAttribute("aria-label", `${button.textContent} ${name}`);
  button.setAttribute("aria-disabled", String(Boolean(isDisabled)));
}

// Unchanged text is not written again, which a screen reader would announce.
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
