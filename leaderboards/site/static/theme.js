"use strict";
// This runs before the page is drawn, so that a page never appears in the wrong colours first.
try {
  const chosen = localStorage.getItem("theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch { /* storage is off: the colours of the system are used */ }
document.documentElement.classList.add("script");
