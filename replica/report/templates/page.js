"use strict";
document.documentElement.classList.add("js");

// A cell sorts by its data-value or its text, as a number where it begins as one; empty cells stay last.
const valueOf = (row, column) => {
  const cell = row.cells[column];
  const text = (cell.dataset.value ?? cell.textContent).trim();
  const number = parseFloat(text.replace(/^[><]\s*/, "").replace(/,/g, ""));
  return text === "" ? null : /^[><]?\s*[-+]?[\d.]/.test(text) && !Number.isNaN(number) ? number : text;
};
const compare = (a, b) =>
  typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const body = table.tBodies[0];
      const rows = [...body.rows].map((row) => [valueOf(row, column), row]);
      rows.sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : compare(a, b) * (down ? -1 : 1)));
      body.append(...rows.map(([, row]) => row));
    });
  });
}

for (const form of document.querySelectorAll("form.filter")) {
  const table = document.getElementById(form.getAttribute("data-table"));
  const rows = [...table.tBodies[0].rows];
  const none = table.parentNode.querySelector(".none");
  const apply = () => {
    const asked = Object.fromEntries(new FormData(form));
    const words = asked.text.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const keep = words.every((word) => text.includes(word)) &&
        Object.entries(asked).every(([key, value]) => key === "text" || !value || row.dataset[key] === value);
      row.hidden = !keep;
      shown += keep;
    }
    form.querySelector("output").textContent = `${shown} of ${rows.length}`;
    none.hidden = shown > 0;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
}

for (const link of document.querySelectorAll("[data-filter]")) {
  link.addEventListener("click", () => {
    const form = document.querySelector("form[data-table=claims-table]");
    form.reset();
    form.elements.verdict.value = link.dataset.filter;
    form.dispatchEvent(new Event("input"));
  });
}

// A link to a card opens it; paper shows all of them.
const open = () => {
  const card = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const details = card?.closest("details");
  if (details) {
    details.open = true;
    details.scrollIntoView();
  }
};
addEventListener("hashchange", open);
open();
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => { each.open = true; }));
