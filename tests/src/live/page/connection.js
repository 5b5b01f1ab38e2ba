// The connection to the server: commands, reads, and the stream of snapshots, which is opened again whenever it breaks.

const RETRY_AFTER = 1000;
// The server sends four snapshots a second; silence for this long is a lost connection that nobody has noticed.
const SILENCE = 4000;

export async function post(path, body = {}) {
  return answer(await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  }));
}

export async function get(path) {
  return answer(await fetch(path));
}

async function answer(response) {
  const body = await response.json();
  if (!response.ok) throw new Error(body.error);
  return body;
}

// Calls `show` with every snapshot, and `tell` with "open" and "lost".
export function follow(show, tell) {
  let source = null;
  let silence = null;

  function open() {
    close();
    source = new EventSource("/api/events");
    source.onmessage = (event) => {
      tell("open");
      watch();
      const snapshot = JSON.parse(event.data);
      if (snapshot.run) show(snapshot);
    };
    source.onerror = again;
    watch();
  }

  function close() {
    clearTimeout(silence);
    source?.close();
    source = null;
  }

  function watch() {
    clearTimeout(silence);
    silence = setTimeout(again, SILENCE);
  }

  // A browser gives up after a refusal (503), so it is not left to the browser.
  function again() {
    close();
    tell("lost");
    silence = setTimeout(open, RETRY_AFTER);
  }

  // A hidden page needs no figures, and a browser has six connections to a host for all its tabs.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  open();
}
