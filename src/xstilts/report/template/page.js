"use strict";
// Sorting of tables and downloads of figures: without scripts the page lacks nothing else.
const text = cell => cell.textContent.trim();
const number = value => parseFloat(value.replace(/[−–]/g, "-").replace(/[, ]/g, ""));

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = row => text(row.cells[column]);
      const numeric = [...body.rows].some(row => !isNaN(number(key(row))));
      const order = (a, b) => numeric
        ? (isNaN(number(a)) ? Infinity : number(a)) - (isNaN(number(b)) ? Infinity : number(b)) || 0
        : a.localeCompare(b);
      const rows = [...body.rows].sort((a, b) => (down ? -1 : 1) * order(key(a), key(b)));
      body.append(...rows);
    });
  });
}

const save = (blob, name) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
};

const drawing = figure => {
  const svg = figure.querySelector("svg").cloneNode(true);
  svg.style.color = "#1d1d1f";
  svg.style.background = "#ffffff";
  return new XMLSerializer().serializeToString(svg);
};

const png = figure => {
  const { width, height } = figure.querySelector("svg").viewBox.baseVal, image = new Image(), canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [2 * width, 2 * height];
  image.onload = () => {
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob(blob => save(blob, figure.id + ".png"));
  };
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(drawing(figure));
};

// A cell that a spreadsheet would take for a formula gets an apostrophe, unless it is a number.
const field = value => `"${(/^[=+\-@]/.test(value) && isNaN(value) ? "'" : "") + value.replace(/"/g, '""')}"`;
const csv = figure => [...figure.querySelector("table").rows].map(row => [...row.cells].map(text).map(field).join(",")).join("\n") + "\n";

const kinds = {
  SVG: figure => save(new Blob([drawing(figure)], { type: "image/svg+xml" }), figure.id + ".svg"),
  PNG: png,
  CSV: figure => save(new Blob([csv(figure)], { type: "text/csv" }), figure.id + ".csv"),
};
for (const figure of document.querySelectorAll("figure")) {
  const place = figure.querySelector("details.data div");
  for (const [kind, download] of place ? Object.entries(kinds) : []) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = kind;
    button.setAttribute("aria-label", `Download as ${kind}`);
    button.addEventListener("click", () => download(figure));
    place.before(button);
  }
}
