// the buttons "Menu" and "On this page": the theme binds the first of each kind, which stands in its header, which we hide
for (const kind of ['primary', 'secondary']) {
  const [first, ...shown] = document.querySelectorAll(`.${kind}-toggle`)
  for (const button of shown) button.addEventListener('click', () => first.click())
}

// a link to a folded cell opens it
function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)))
  const fold = target && (target.closest('details') || target.matches('.cell') && target.querySelector(':scope > details'))
  if (!fold || fold.open) return
  fold.open = true
  target.scrollIntoView()
}
addEventListener('hashchange', unfold)
unfold()
