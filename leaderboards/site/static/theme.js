"use strict";
// Before the page is drawn, so that a reader's choice never flashes.
try {
  const chosen = localStorage.getItem("theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch { /* storage is off: the system's choice stands */ }
document.documentElement.classList.add("script");
