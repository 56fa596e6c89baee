// Keys, and the page again every few seconds. Everything works without this file.
"use strict";
(() => {
  const EVERY = 5000;
  const main = () => document.getElementById("main");
  const again = () => document.getElementById("again");
  let paused = sessionStorage.getItem("paused") === "1";
  let pending = false;
  let leader = 0;

  const busy = () => {
    const at = document.activeElement;
    const inside = at && main().contains(at) && at.id !== "again" && at !== main();
    return inside || document.hidden || Boolean(document.querySelector("dialog[open], #main details[open], #main :hover.picture"));
  };

  const show = () => {
    const button = again();
    if (!button) return;
    button.hidden = false;
    button.textContent = paused ? "Resume" : "Pause";
    button.setAttribute("aria-pressed", String(paused));
  };

  const toggle = () => {
    paused = !paused;
    sessionStorage.setItem("paused", paused ? "1" : "0");
    show();
  };

  const look = async () => {
    if (paused || pending || !again() || busy()) return;
    pending = true;
    try {
      const response = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "manual" });
      if (response.type === "opaqueredirect") return location.reload();
      if (!response.ok) return;
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("main");
      if (fresh && !busy()) {
        const focused = document.activeElement === again();
        main().replaceWith(fresh);
        show();
        if (focused) again().focus();
      }
    } catch {
      const said = document.getElementById("as-of");
      if (said && !said.dataset.lost) {
        said.dataset.lost = "1";
        said.textContent += " (the gateway does not answer)";
      }
    } finally {
      pending = false;
    }
  };

  const PAGES = { o: "overview", b: "backends", r: "requests", c: "cost" };
  const typing = (at) => at.matches("input, select, textarea");

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const led = Date.now() - leader < 1500;
    leader = 0;
    if (led && PAGES[event.key]) {
      document.querySelector(`[data-page="${PAGES[event.key]}"]`)?.click();
    } else if (event.key === "g") {
      leader = Date.now();
    } else if (event.key === "/") {
      document.querySelector(".filters input, .filters select")?.focus();
    } else if (event.key === "?") {
      document.getElementById("keys")?.showModal();
    } else if (event.key === "r") {
      toggle();
    } else {
      return;
    }
    event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    if (event.target.id === "again") toggle();
  });

  document.addEventListener("submit", (event) => {
    const button = event.target.querySelector("button.danger");
    if (button && !confirm(`${button.getAttribute("aria-label")}?`)) event.preventDefault();
  });

  show();
  setInterval(look, EVERY);
})();
