"use strict";
const table = document.getElementById("atlas");
const body = table.tBodies[0];
const search = document.getElementById("search");
const shown = document.getElementById("shown");

function order(row, column, isText) {
  const cell = row.cells[column];
  return isText ? cell.textContent.toLowerCase() : Number(cell.dataset.order);
}

function sortBy(heading) {
  const column = heading.cellIndex;
  const isText = "text" in heading.dataset;
  const first = isText ? "ascending" : "descending";
  const now = heading.getAttribute("aria-sort");
  const next = now === null ? first : now === "ascending" ? "descending" : "ascending";
  for (const one of table.tHead.rows[0].cells) one.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", next);
  const sign = next === "ascending" ? 1 : -1;
  const unknown = (row) => !isText && order(row, column, isText) >= 1e18;
  const rows = [...body.rows].sort((a, b) => {
    if (unknown(a) !== unknown(b)) return unknown(a) ? 1 : -1;
    const x = order(a, column, isText), y = order(b, column, isText);
    return x < y ? -sign : x > y ? sign : 0;
  });
  body.append(...rows);
}

function filter() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const row of body.rows) {
    const name = row.dataset.name.toLowerCase();
    row.hidden = !words.every((word) => name.includes(word));
    count += !row.hidden;
  }
  shown.textContent = `${count} of ${body.rows.length}`;
}

for (const heading of table.tHead.rows[0].cells) {
  heading.firstElementChild.addEventListener("click", () => sortBy(heading));
}
search.addEventListener("input", filter);
filter();
