// A table that scrolls can be scrolled with the keyboard.
document$.subscribe(() => {
  const reach = () => {
    for (const box of document.querySelectorAll(".md-typeset__scrollwrap")) box.tabIndex = 0;
  };
  reach();
  new MutationObserver(reach).observe(document.body, { childList: true, subtree: true });
});
