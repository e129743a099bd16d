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
