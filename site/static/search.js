// "question 11" finds Q11: Sphinx's search leaves numbers out
{
  const asked = new URLSearchParams(location.search), words = asked.get('q')
  if (words && /question\s+\d+/i.test(words)) {
    asked.set('q', words.replace(/question\s+(\d+)/gi, 'q$1'))
    history.replaceState(null, '', `?${asked}`)
  }
}
