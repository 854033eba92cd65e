"use strict";
// Sorting: a click on a column's name, again for the other direction; rows without a number stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, place) => head.querySelector("button")?.addEventListener("click", () => {
    const first = head.dataset.first === "down" ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = head.getAttribute("aria-sort") === first ? other : first, sign = order === "ascending" ? 1 : -1;
    heads.forEach((one) => one.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const value = (row) => Number.parseFloat(row.cells[place].dataset.value);
    const missing = (row) => Number(Number.isNaN(value(row)));
    body.append(...[...body.rows].sort((a, b) => missing(a) - missing(b) || sign * (value(a) - value(b)) || 0));
  }));
}
// LaTeX: shows the table and copies it, where the browser lets a page from a file do that.
for (const box of document.querySelectorAll(".latex")) {
  const button = box.querySelector("button"), text = box.querySelector("pre");
  button.addEventListener("click", async () => {
    text.hidden = false;
    getSelection().selectAllChildren(text);
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "LaTeX: copied";
    } catch {
      button.textContent = "LaTeX: selected";
    }
  });
}
// The slider over two pictures of one image, which the two lists choose among the image's own.
for (const image of document.querySelectorAll(".image")) {
  const pictures = [...image.querySelectorAll(".grid img")], box = image.querySelector(".compare");
  const depths = pictures.filter((one) => one.dataset.title.endsWith(": depth"));
  const pair = depths.length > 1 ? depths.slice(0, 2) : [pictures[0], depths[0]];
  if (!pair[1]) continue;
  const choices = document.createElement("div"), slider = document.createElement("div");
  choices.className = "choices";
  slider.className = "slider";
  pair.forEach((start, side) => {
    const shown = document.createElement("img"), select = document.createElement("select");
    select.setAttribute("aria-label", side ? "right picture" : "left picture");
    pictures.forEach((one, place) => select.add(new Option(one.dataset.title, place, one === start, one === start)));
    const show = () => { shown.src = pictures[select.value].src; shown.alt = pictures[select.value].alt; };
    select.addEventListener("change", show);
    show();
    choices.append(select);
    slider.append(shown);
  });
  const range = document.createElement("input");
  Object.assign(range, { type: "range", min: 0, max: 100, step: 0.5, value: 50 });
  range.setAttribute("aria-label", "where the left picture ends");
  range.addEventListener("input", () => slider.style.setProperty("--cut", `${range.value}%`));
  slider.append(range);
  box.append(choices, slider);
}
