// The last comparison of the three ways: always three rows.

import { duration } from "./plots.js";
import { write } from "./processes.js";

const COLUMNS = ["", "", "number", "number sync", "number", "number async"];
const NAMES = ["sync only", "async only", "hybrid"];

export function showWays(body, ways) {
  if (!body.rows.length) {
    for (const name of NAMES) {
      const line = body.insertRow();
      for (const kind of COLUMNS) line.insertCell().className = kind;
      write(line.cells[0], name);
    }
  }
  ways.forEach((way, index) => {
    const { cells } = body.rows[index];
    const texts = [way.way, way.answer, `${way.errors} of ${way.orders}`, duration(way.answered_ms), `${way.ended} of ${way.orders}`, duration(way.ended_ms)];
    texts.forEach((text, column) => write(cells[column], text));
    cells[2].classList.toggle("fault", way.errors > 0);
    cells[4].classList.toggle("fault", way.ended < way.orders);
  });
}
