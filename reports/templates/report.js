"use strict";
(() => {
  // A link into a closed part opens it.
  const reveal = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (!target) return;
    for (let node = target; node; node = node.parentElement) {
      if (node.tagName === "DETAILS") node.open = true;
    }
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();

  // A timeline reads out the mark under the pointer, or the one that the arrow keys have come to.
  for (const frame of document.querySelectorAll("[data-timeline]")) {
    const svg = frame.querySelector("svg");
    const ring = svg.querySelector(".ring");
    const readout = frame.parentElement.querySelector(".readout");
    const marks = [...svg.querySelectorAll(".lane")].flatMap((lane, row) =>
      [...lane.querySelectorAll(".m")].map((shape) => ({
        row,
        x: shape.x.baseVal.value,
        y: shape.y.baseVal.value,
        words: `${lane.dataset.name} · ${shape.firstElementChild.textContent}`,
      })),
    );
    if (!marks.length) continue;
    readout.hidden = false;
    readout.textContent = "Point at a mark, or step through them with the arrow keys.";
    let current = null;

    const show = (mark) => {
      if (!mark || mark === current) return;
      current = mark;
      ring.setAttribute("cx", mark.x);
      ring.setAttribute("cy", mark.y);
      readout.textContent = mark.words;
    };
    const nearest = (candidates, distance) =>
      candidates.reduce((best, mark) => (best && distance(best) <= distance(mark) ? best : mark), null);

    frame.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const scale = svg.viewBox.baseVal.width / box.width;
      const x = (event.clientX - box.left) * scale;
      const y = (event.clientY - box.top) * scale;
      const distance = (mark) => Math.hypot(mark.x - x, (mark.y - y) / 2);
      const mark = nearest(marks, distance);
      if (distance(mark) < 30) show(mark);
    });
    frame.addEventListener("keydown", (event) => {
      const from = current ?? { row: marks[0].row, x: -1 };
      const row = (number) => marks.filter((mark) => mark.row === number);
      const along = (mark) => Math.abs(mark.x - from.x);
      const rows = [...new Set(marks.map((mark) => mark.row))];
      const other = rows[rows.indexOf(from.row) + (event.key === "ArrowDown" ? 1 : -1)];
      const next = {
        ArrowRight: () => nearest(row(from.row).filter((mark) => mark.x > from.x), along),
        ArrowLeft: () => nearest(row(from.row).filter((mark) => mark.x < from.x), along),
        ArrowDown: () => nearest(row(other), along),
        ArrowUp: () => nearest(row(other), along),
        Home: () => nearest(row(from.row), (mark) => mark.x),
        End: () => nearest(row(from.row), (mark) => -mark.x),
      }[event.key];
      if (!next) return;
      event.preventDefault();
      show(next());
      const box = svg.getBoundingClientRect();
      const at = current ? (current.x / svg.viewBox.baseVal.width) * box.width : 0;
      frame.scrollLeft = at - frame.clientWidth / 2;
    });
  }
})();
