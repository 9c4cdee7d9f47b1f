"use strict";
(() => {
  const form = document.getElementById("filters");
  if (!form) return;

  const PAGE = 100; // number of rows that a table shows at first; the button adds ten times as many
  const byId = (id) => document.getElementById(id);
  const fields = ["text", "severity", "code", "file", "episode", "camera"].map((name) => [name, byId(`filter-${name}`)]);
  const shown = byId("shown");
  const noneMatch = byId("none-match");
  const format = (count) => count.toLocaleString("en-US");
  const plural = (count, noun) => `${format(count)} ${noun}${count === 1 ? "" : "s"}`;

  const groups = [...document.querySelectorAll("details.rule")].map((element) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "more";
    element.querySelector(".body").append(button);
    const group = {
      element,
      button,
      badge: element.querySelector(".count"),
      rows: [...element.querySelector("tbody").rows],
      limit: PAGE,
      wasOpen: element.open,
      ...element.dataset,
    };
    group.matching = group.rows;
    button.addEventListener("click", () => {
      const first = group.limit;
      group.limit += 10 * PAGE;
      page(group);
      const row = group.matching[first];
      row.tabIndex = -1;
      row.focus({ preventScroll: true }); // the button that had the focus may be hidden now
    });
    return group;
  });

  // Shows the matching rows of a table, up to the limit of the table.
  function page(group) {
    const visible = new Set(group.matching.slice(0, group.limit));
    for (const row of group.rows) if (row.hidden === visible.has(row)) row.hidden = !row.hidden;
    const left = group.matching.length - visible.size;
    group.button.hidden = left === 0;
    group.button.textContent = `Show ${format(Math.min(left, 10 * PAGE))} more of ${plural(left, "row")}`;
  }

  const cell = (row, name) => {
    const found = row.getElementsByClassName(name)[0];
    return found ? found.textContent : "";
  };
  const standsFor = (row) => 1 + Number(row.dataset.more || 0);

  // Returns [first, last] for "7", "10-20" or "10–20", null for an empty text, and undefined for any other text.
  function episodeRange(text) {
    if (!text.trim()) return null;
    const match = /^\s*(\d+)\s*(?:[-–]\s*(\d+))?\s*$/.exec(text);
    return match ? [Number(match[1]), Number(match[2] ?? match[1])] : undefined;
  }

  let index = null; // the searchable text of each row, made when it is first needed
  function indexed(row) {
    index ??= new Map();
    let entry = index.get(row);
    if (!entry) {
      const episode = cell(row, "e");
      entry = {
        file: cell(row, "f").toLowerCase(),
        episode: episode === "" ? NaN : Number(episode),
        camera: cell(row, "c"),
        text: [...row.cells].map((c) => c.textContent).join(" ").toLowerCase(),
      };
      index.set(row, entry);
    }
    return entry;
  }

  let wasFiltered = false;
  function apply() {
    const want = Object.fromEntries(fields.map(([name, field]) => [name, field.value]));
    const words = want.text.toLowerCase().split(/\s+/).filter(Boolean);
    const file = want.file.trim().toLowerCase();
    const range = episodeRange(want.episode);
    byId("filter-episode").setAttribute("aria-invalid", String(range === undefined));
    const looksAtRows = words.length > 0 || file || range !== null || want.camera;
    const isFiltered = Boolean(looksAtRows || want.severity || want.code);
    const total = { row: 0, error: 0, warning: 0 };
    let all = 0;
    for (const group of groups) {
      all += group.rows.length;
      const head = `${group.code} ${group.severity} ${group.element.querySelector(".name").textContent}`.toLowerCase();
      const matches = (row) => {
        const entry = indexed(row);
        return (
          words.every((word) => entry.text.includes(word) || head.includes(word)) &&
          entry.file.includes(file) &&
          (range === null || (range !== undefined && entry.episode >= range[0] && entry.episode <= range[1])) &&
          (!want.camera || entry.camera === want.camera)
        );
      };
      const passes = (!want.severity || want.severity === group.severity) && (!want.code || want.code === group.code);
      group.matching = !passes ? [] : looksAtRows ? group.rows.filter(matches) : group.rows;
      group.limit = PAGE;
      page(group);
      const count = group.matching.reduce((sum, row) => sum + standsFor(row), 0);
      total.row += group.matching.length;
      total[group.severity] += count;
      group.element.hidden = group.matching.length === 0;
      const isWhole = group.matching.length === group.rows.length;
      group.badge.textContent = isWhole ? format(Number(group.count)) : `${format(count)} of ${format(Number(group.count))}`;
      if (isFiltered && !wasFiltered) group.wasOpen = group.element.open;
      if (isFiltered) group.element.open = group.matching.length > 0;
      else if (wasFiltered) group.element.open = group.wasOpen;
    }
    wasFiltered = isFiltered;
    noneMatch.hidden = total.row > 0;
    byId("reset").disabled = !isFiltered;
    const stand = `${plural(total.error, "error")}, ${plural(total.warning, "warning")}`;
    shown.textContent =
      range === undefined
        ? "Episode: a number, or a range such as 10-20"
        : `${isFiltered ? `${format(total.row)} of ` : ""}${plural(all, "listed finding")}: ${stand}`;
  }

  const setOpen = (isOpen) => () => groups.forEach((group) => (group.element.open = isOpen));
  byId("open-all").addEventListener("click", setOpen(true));
  byId("close-all").addEventListener("click", setOpen(false));
  form.addEventListener("input", apply);
  form.addEventListener("change", apply); // some browsers send only this event for a list, and not "input"
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply)); // the fields are reset only after this event
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") form.reset();
  });

  // A link to the table of a rule opens the table.
  const follow = () => {
    const target = byId(decodeURIComponent(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) target.open = true;
  };
  addEventListener("hashchange", follow);
  follow();

  form.hidden = false;
  apply();
})();
