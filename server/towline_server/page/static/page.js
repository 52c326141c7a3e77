"use strict";
// What htmx does not do. Nothing here is needed: every form works without it.

// A checkbox that checks all others of its table.
document.addEventListener("change", (event) => {
  const all = event.target.closest("input[data-all]");
  if (all) {
    for (const box of all.closest("table").querySelectorAll("input[type=checkbox][name]")) {
      box.checked = all.checked;
    }
  }
});

// Who was signed out meanwhile signs in, wherever the page was.
document.addEventListener("htmx:sseError", (event) => {
  const source = event.detail.source;
  if (source && source.readyState === EventSource.CLOSED) {
    event.target.dataset.lost = "true";
  }
});
