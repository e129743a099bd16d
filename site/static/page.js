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

// on a telephone the contents make room for what they lead to
document.addEventListener('click', event => event.target.closest('dialog[open] a[href*="#"]')?.closest('dialog').close())

// what is wider than its box says so; its width is known when it is shown, which a folded one is later
const watch = new ResizeObserver(boxes => boxes.forEach(({target}) => target.classList.toggle('sideways', target.scrollWidth > target.clientWidth + 1)))
document.querySelectorAll('.movable, table.dataframe, .pst-scrollable-table-container').forEach(box => watch.observe(box))

// a copy button has a picture; here is its name
addEventListener('load', () => document.querySelectorAll('.copybtn').forEach(button => button.setAttribute('aria-label', 'Copy')))

// the moving picture of the front page stops on request, and starts only on request where the reader wants no motion
function canPause(moving) {
  const still = document.createElement('canvas'), button = document.createElement('button')
  still.setAttribute('role', 'img')
  still.setAttribute('aria-label', moving.alt)
  button.className = 'pause'
  function show(moves) {
    still.width = moving.naturalWidth
    still.height = moving.naturalHeight
    if (!moves) still.getContext('2d').drawImage(moving, 0, 0)
    still.hidden = moves
    moving.hidden = !moves
    button.textContent = moves ? 'Pause' : 'Play'
  }
  button.addEventListener('click', () => show(moving.hidden))
  moving.after(still, button)
  show(!matchMedia('(prefers-reduced-motion: reduce)').matches)
}
document.querySelectorAll('img[src$="verdicts.webp"]').forEach(moving => moving.decode().then(() => canPause(moving)))
