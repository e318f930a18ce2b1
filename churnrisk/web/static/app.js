// Everything works without this file; with it the keyboard is quicker and parts load without a new page.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);

  // --- the list: move, open, pick ------------------------------------------------------------------
  const rows = all("[data-row]");
  const here = () => rows.findIndex((row) => row.contains(document.activeElement));
  const marked = () => rows.findIndex((row) => row.classList.contains("is-here"));

  function go(step) {
    if (!rows.length) return;
    const at = here() >= 0 ? here() : marked();
    const next = Math.min(rows.length - 1, Math.max(0, at < 0 ? (step > 0 ? 0 : rows.length - 1) : at + step));
    rows.forEach((row, place) => row.classList.toggle("is-here", place === next));
    one("a[data-open]", rows[next]).focus({ preventScroll: true });
    rows[next].scrollIntoView({ block: "nearest" });
  }

  const boxes = all("[data-row] input[name=account]");
  const everything = one("[data-pick-all]");
  const counter = one("[data-picked]");
  const bulk = one("[data-bulk]");

  function count() {
    const picked = boxes.filter((box) => box.checked).length;
    boxes.forEach((box) => box.closest("tr").classList.toggle("is-picked", box.checked));
    if (counter) counter.textContent = picked === 1 ? "1 account selected" : `${picked} accounts selected`;
    if (bulk) bulk.classList.toggle("is-idle", !picked);
    if (everything) {
      everything.checked = picked > 0 && picked === boxes.length;
      everything.indeterminate = picked > 0 && picked < boxes.length;
    }
  }

  function pick() {
    const at = here() >= 0 ? here() : marked();
    const box = at >= 0 && one("input[name=account]", rows[at]);
    if (box) {
      box.checked = !box.checked;
      count();
    }
  }

  if (everything) {
    everything.closest("[hidden]").hidden = false;
    everything.addEventListener("change", () => {
      boxes.forEach((box) => { box.checked = everything.checked; });
      count();
    });
  }
  boxes.forEach((box) => box.addEventListener("change", count));
  if (boxes.length) count();
  // A page that the browser brings back keeps its ticks.
  window.addEventListener("pageshow", () => { if (boxes.length) count(); });

  // --- keys ------------------------------------------------------------------------------------------
  const keys = one("#keys");
  const actions = {
    j: () => go(1),
    k: () => go(-1),
    x: pick,
    "/": () => { const field = one("#search"); if (field) { field.focus(); field.select(); } },
    "?": () => { if (keys && !keys.open) keys.showModal(); },
    u: () => { const back = one("a[rel=up]"); if (back) back.click(); },
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox]):not([type=radio]), select, textarea, dialog");
    if (event.key === "Escape" && event.target.id === "search") event.target.blur();
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !(event.key in actions)) return;
    event.preventDefault();
    actions[event.key]();
  });
  all("[data-keys]").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", () => keys.showModal());
  });

  // --- forms -----------------------------------------------------------------------------------------
  all("form[data-instant]").forEach((form) => {
    form.addEventListener("change", (event) => {
      if (event.target.name && event.target.matches("select, input[type=checkbox], input[type=radio]")) form.requestSubmit();
    });
  });
  all("form[method=post]").forEach((form) => {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) event.preventDefault();
      form.dataset.sent = "yes";
    });
  });
  window.addEventListener("pageshow", () => all("form[data-sent]").forEach((form) => { delete form.dataset.sent; }));
  all("[data-counts]").forEach((field) => {
    const form = field.form;
    form.addEventListener("change", () => { field.required = Boolean(one(field.dataset.counts, form)); });
  });

  // Drawings that are wider than the page begin with what is latest.
  const showLatest = () => all(".scroll").forEach((frame) => { frame.scrollLeft = frame.scrollWidth; });
  showLatest();

  // --- parts that load by themselves -----------------------------------------------------------------
  all("[data-load]").forEach(async (part) => {
    part.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(part.dataset.load, { headers: { "X-Part": "1" }, credentials: "same-origin" });
      const text = await answer.text();
      if (!answer.ok || answer.redirected) return;
      part.innerHTML = text;
      all("[data-moves-to]", part).forEach((piece) => {
        const place = document.getElementById(piece.dataset.movesTo);
        if (place && piece.childElementCount) place.replaceChildren(...piece.childNodes);
        piece.remove();
      });
      showLatest();
    } catch {
      // the link inside stays and leads to the same
    } finally {
      part.removeAttribute("aria-busy");
    }
  });
})();
