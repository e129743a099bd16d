// The quiz as a page. The texts are in the page, the patterns and numbers by which an answer is judged in its data; what is solved is kept in
// localStorage. An answer is right, a known mistake, or one that the page can't tell about: then the reader may compare it with the points.
'use strict'
const QUIZ = JSON.parse(document.getElementById('quiz-data').textContent)
const STORE = 'pet_breeds.quiz'
const GIVEN = 'pet_breeds.quiz.given' // {question: {typed: what is in its field, source: the best answer as code, verdict}}

// --- judging, as pet_breeds.judge does it

function quizWords(answer) {
  let text = answer.toLowerCase()
  const list = text.match(/^\s*[[(](.*)[\])]\s*$/s)
  if (list) text = list[1].replace(/["']\s*,\s*["']/g, '; ').replace(/^\s*["']|["']\s*$/g, '')
  for (const [short, long] of Object.entries(QUIZ.short)) text = text.replaceAll(short, long)
  return text.replace(/\n\s*(\n|[-*#]+ |\d+\. )/g, '; ').replace(/[*`$]|<br>/g, '').split(/\s+/).filter(Boolean).join(' ')
}

function foundIn(text, pattern) { // without what the text denies
  const denials = [...text.matchAll(new RegExp(QUIZ.patterns.denied, 'g'))], notIt = new RegExp(`^${QUIZ.patterns.not_it}`)
  const isDenied = m => denials.some(d => m.index - 50 <= d.index && d.index < m.index && d.index + d[0].length >= m.index)
  const isSaid = m => !isDenied(m) && !notIt.test(text.slice(m.index + m[0].length))
  const regex = new RegExp(pattern, 'g'), kept = []
  for (let m; (m = regex.exec(text));) {
    const said = isSaid(m)
    if (said) kept.push(m[0])
    if (!said || !m[0]) regex.lastIndex = m.index + 1 // what is denied may hide what is said after it
  }
  return kept
}

const claimed = (text, pattern, excuse) => foundIn(text, pattern).length > 0 && !(excuse && claimed(text, excuse))

function namedIn(text, two) { // which of the names a text has, or claims the parts of
  const said = [...foundIn(text, '[a-z_]\\w*'), ...two.parts.filter(([, ...mark]) => claimed(text, ...mark)).map(([name]) => name)]
  return two.names.filter(name => said.includes(name))
}

function isJumbled(answer) {
  const count = (name, text) => [...text.matchAll(new RegExp(QUIZ.patterns[name], 'g'))].length, text = quizWords(answer)
  return count('pairs', text) + count('capital', answer) > Math.floor(text.split(' ').length / 40)
}

function floatsIn(text) {
  return [...text.matchAll(new RegExp(QUIZ.patterns.number, 'g'))].map(([, number, below, percent]) => number / (below || 1) / (percent ? 100 : 1))
}

const saysMore = text => new RegExp(QUIZ.patterns.else).test(text.replace(new RegExp(`${QUIZ.patterns.number}|\\b(?:${QUIZ.patterns.about})\\b`, 'g'), ' '))

function numbersSaid(answer, {aside = '$.', names = [], unless = '$.'}) { // in the order of their names; null if the answer says anything else
  let text = answer.toLowerCase()
  if (new RegExp(unless).test(quizWords(answer))) return null
  for (const [pattern, number] of Object.entries(QUIZ.as_numbers)) text = text.replaceAll(new RegExp(pattern, 'g'), number)
  text = quizWords(text).split(new RegExp(QUIZ.patterns.reason))[0].replaceAll(new RegExp(`\\b(?:${aside})\\b`, 'g'), ' ')
  if (text.length > 400) return null
  const named = []
  for (const [i, name] of names.entries()) {
    named.push(...[...text.matchAll(new RegExp(name, 'g'))].map(m => [m.index, i]))
    text = text.replaceAll(new RegExp(name, 'g'), found => ' '.repeat(found.length))
  }
  const order = named.sort((a, b) => a[0] - b[0]).map(([, i]) => i).filter((i, at, all) => i !== all[at - 1]), given = floatsIn(text)
  if (!given.length || saysMore(text)) return null
  if (order.length && ([...order].sort().join() !== [...names.keys()].join() || given.length !== names.length)) return null
  return order.length ? given.map((_, i) => given[order.indexOf(i)]) : given
}

function judgeNumbers(table, given) {
  if (table.percent) given = given.map(x => x > 1 ? x / 100 : x)
  if (table.shares && Math.abs(given.reduce((a, b) => a + b) - 100) < 2 && Math.min(...given) >= 0) given = given.map(x => x / 100)
  const near = row => row.length === given.length && row.every((x, i) => Math.abs(x - given[i]) <= table.within)
  if (table.right.some(near)) return {ok: true}
  const mistake = Object.entries(table.mistakes || {}).find(([, rows]) => rows.some(near))
  if (mistake) return {ok: false, mistake: mistake[0]}
  if (table.many && !table.many.includes(given.length)) return {ok: null, text: `I found ${given.length} number${given.length > 1 ? 's' : ''}; ${table.many[0]} are asked.`}
  return table.otherwise ? {ok: false, text: table.otherwise} : {ok: null}
}

function listed({names, aside, letters}, answer) { // the names that an answer lists, as the page knows lists; null if it says anything else
  const text = quizWords(answer), given = text.match(new RegExp(`\\b(?:${names})\\b`, 'g'))
  const cases = letters && (text.match(new RegExp(`\\b[${letters}]\\b`, 'g')) || []).join('')
  if (!given || (cases && cases !== letters)) return null
  if (saysMore(text.replaceAll(new RegExp(`\\b(?:${names}|${aside})\\b`, 'g'), ' '))) return null
  return given.map(name => name.replace(/[- _]/g, '')).join(', ')
}

function countVotes(text, votes) { // how many clauses give a part of the model the wrong size of rate, and how many the right one
  const told = text.split(new RegExp(QUIZ.patterns.clauses)).map(clause => Object.keys(votes).filter(part => claimed(clause.split(' than ')[0], votes[part])).join())
  const count = (...parts) => told.filter(found => parts.includes(found)).length
  return [count('early,high', 'late,low'), count('early,low', 'late,high')]
}

function readWords(q, answer) {
  const text = quizWords(answer), unclear = text => ({ok: null, text})
  if (!q.points.length && !q.two) return unclear('') // it has no patterns
  if (text.length > QUIZ.longest) return unclear(`These are more than ${QUIZ.longest} characters.`)
  if (new RegExp(QUIZ.patterns.denial).test(text)) return unclear('This reads as if you deny it: say what is true.')
  const [against, rightWay] = q.votes ? countVotes(text, q.votes) : [0, 0]
  if (against > rightWay) return {ok: false, mistake: 'reversed'}
  if (against && against === rightWay) return unclear('It gives rates of one size to the first part and to the last.')
  const sentences = text.split(new RegExp(QUIZ.patterns.sentence)).map(s => s.trim()).filter(Boolean)
  if (text.length > 20 && sentences.every(s => q.asked.includes(s))) return unclear('These are the words of the question or its hint.')
  const missing = q.points.filter(([, ...mark]) => !claimed(text, ...mark)).map(([subject]) => subject)
  const mistake = q.mistakes.find(([, ...mark]) => claimed(text, ...mark))
  const named = q.two && namedIn(text, q.two), giveTwo = unclear(`I found ${named?.length ? `one that I know, ${named[0]}` : 'none that I know'}; give two.`)
  if (missing.length && mistake) return {ok: false, mistake: mistake[0]}
  if (missing.length && named?.length === 1) return giveTwo
  if (missing.join() === QUIZ.says.sentence) return unclear(QUIZ.says.only_words)
  if (missing.length) return unclear(`I found nothing on ${missing.filter(subject => subject !== QUIZ.says.sentence).join(' or on ')}.`)
  if (isJumbled(answer)) return unclear(QUIZ.says.another_way)
  if (named?.length < 2) return mistake ? {ok: false, mistake: mistake[0]} : giveTwo
  return {ok: true, text: q.remarks.filter(([, ...mark]) => claimed(text, ...mark)).map(([remark]) => remark).join(' '), mistake: mistake && mistake[0]}
}

function patternIn(answer) { // without a word before it, its quotes and a call around it
  const text = answer.trim().replace(new RegExp(QUIZ.regex.label, 'i'), '').replace(/^`+|`+$/g, ''), m = text.match(new RegExp(QUIZ.regex.quoted, 's'))
  return m ? (m[2] ? m[4] : m[4].replaceAll('\\\\', '\\')) + (m[1] === 'fullmatch' ? '$' : '') : text
}

function judgePattern(answer) { // of question 2, on the names of its files
  const pattern = patternIn(answer), {files, endless, dotless} = QUIZ.regex, unclear = {ok: null, text: 'This page cannot run it.'}
  if (pattern.includes(' ') && !/[\\[^$+*]/.test(pattern)) return {ok: null, text: 'This is no pattern: write it with characters, such as (...) around what to keep.'}
  if (!pattern.includes('(')) return {ok: null, text: 'I found no parentheses: one pair is asked, for the breed.'}
  if (/[+*}]\)+[+*{]/.test(pattern)) return unclear // it may take forever
  let regex
  try { regex = new RegExp(pattern.replaceAll('\\Z', '$').replaceAll('\\A', '^')) } catch { return unclear }
  const got = Object.keys(files).map(name => name.match(regex)?.[1]), want = Object.values(files)
  const same = (...places) => places.every(i => got[i] === want[i])
  const ends = same(0, 1, 2) && endless.find(name => regex.test(name))
  if (ends) return {ok: false, text: `${ends} passes: the pattern does not say how a name ends.`}
  if (same(0, 1, 2) && regex.test(dotless)) return {ok: false, mistake: 'dot'}
  const pairs = new RegExp(`${pattern}|`).exec('').length - 1
  if (same(0, 1, 2)) return pairs === 1 ? {ok: true} : {ok: false, text: `${pairs} pairs of parentheses; one is asked, for the breed.`}
  if (got[0] === 'great') return {ok: false, mistake: 'first underscore'}
  if (same(0, 2)) return {ok: false, mistake: 'lower case'}
  return {ok: false, text: `${Object.keys(files)[0]} gives ${got[0] === undefined ? 'nothing' : got[0]}.`}
}

const asSentence = text => text.trim().replace(/^(?!fastai|numpy)[a-z](?=[a-z]*[ ,:;])/, first => first.toUpperCase()).replace(/[^.?!]$/, '$&.') // a name stays as it is written

function judgeAnswer(id, answer) { // {ok: true, false or null, mistake: its name, text}
  if (/^\s*(lambda\b|def )/.test(answer)) return {ok: null, text: `A function is judged by Python: quiz.${id}.check(...) in a notebook.`}
  if (new RegExp(QUIZ.patterns.give_up).test(quizWords(answer))) return {ok: null, gaveUp: true}
  if (id === 'q2') return judgePattern(answer)
  const q = QUIZ.questions[id], given = q.numbers && numbersSaid(answer, q.numbers), list = q.list && listed(q.list, answer)
  const named = q.names[list || quizWords(answer).replace(/["'‘’]/g, '').replace(/\s*[;,]\s*|\s+/g, ', ')]
  if (named) return {ok: named[0], mistake: named[1], text: named[2]}
  return given ? judgeNumbers(q.numbers, given) : readWords(q, answer)
}

// --- progress: as pet_breeds.progress keeps it

function dayAfter(days) {
  const now = new Date(), day = new Date(now.getFullYear(), now.getMonth(), now.getDate() + days)
  return [day.getFullYear(), day.getMonth() + 1, day.getDate()].map(n => String(n).padStart(2, '0')).join('-')
}

function readKept(store = STORE) {
  try {
    const kept = JSON.parse(localStorage.getItem(store))
    return kept && typeof kept === 'object' ? kept : {}
  } catch { return {} }
}

const entryOf = id => ({tries: 0, solved: false, ...readKept()[id]})
const isSolved = id => Boolean(entryOf(id).solved || entryOf(id).by_you)
const isDue = id => dayAfter(0) >= (entryOf(id).review || '9999')

function planReview({review, reviewed, ...entry}, ok) {
  const early = !review || review > dayAfter(0) // no review is due
  if (ok === false && !(early && (entry.solved || entry.by_you))) return {review: dayAfter(QUIZ.gaps[0]), reviewed: 0}
  if (!ok || early) return review ? {review, reviewed} : {}
  return reviewed + 1 === QUIZ.gaps.length ? {} : {review: dayAfter(QUIZ.gaps[reviewed + 1]), reviewed: reviewed + 1}
}

function rememberAnswer(id, ok, byYou = false) {
  const before = entryOf(id), {review, reviewed, ...entry} = before
  if (byYou) entry.by_you = true
  else Object.assign(entry, {tries: entry.tries + 1, solved: entry.solved || ok === true})
  try { localStorage.setItem(STORE, JSON.stringify({...readKept(), [id]: {...entry, ...planReview(before, byYou || ok)}})) }
  catch { BAR.note.textContent = 'Your browser lets this page keep nothing: progress ends with the page.' }
  showProgress()
}

function keepGiven(id, more) {
  const given = readKept(GIVEN)
  try { localStorage.setItem(GIVEN, JSON.stringify({...given, [id]: {...given[id], ...more}})) } catch { } // rememberAnswer says so
}

function handIn() { // a file as pet_breeds.results.hand_in writes it, of the answers of this page
  const name = (prompt('Your name, for your teacher:') || '').normalize('NFC').trim().slice(0, 80), {from_quiz, ...head} = QUIZ.hand_in
  if (!/[\p{L}\p{N}]/u.test(name)) return
  const given = Object.entries(readKept(GIVEN)).filter(([, given]) => given?.source)
  const answers = Object.fromEntries(given.map(([id, {verdict, source}]) => [id, {verdict, source: from_quiz + source}]))
  const solved = QUESTIONS.map(q => q.id).filter(id => entryOf(id).solved), file = `${name.replace(/[^\p{L}\p{M}\p{N}-]+/gu, ' ').trim().replaceAll(' ', '_')}.json`
  const href = URL.createObjectURL(new Blob([JSON.stringify({...head, name, answers, solved}, null, 1)], {type: 'application/json'}))
  make('a', {href, download: file}).click()
  setTimeout(() => URL.revokeObjectURL(href), 1000)
  BAR.note.textContent = `Hand in this file: ${file}`
}

// --- a question

function make(tag, how = {}, ...inner) {
  const element = Object.assign(document.createElement(tag), how)
  element.append(...inner)
  return element
}

const makeButton = (text, onclick, how = {}) => make('button', {type: 'button', textContent: text, onclick, ...how})

class QuizQuestion {
  constructor(section) {
    this.section = section
    this.id = section.id
    this.parts = Object.fromEntries([...section.querySelectorAll(':scope > details')].map(part => [part.className, part]))
    for (const part of Object.values(this.parts)) part.remove() // nothing is told before an attempt
    this.begin()
    if (isDue(this.id)) return
    this.field.value = readKept(GIVEN)[this.id]?.typed || '' // as it was left
    if (entryOf(this.id).tries) this.offerAnswer()
  }

  begin() { // as if it had not been asked
    this.form?.remove()
    this.letters = null
    this.field = make('textarea', {rows: 3, placeholder: 'Your answer', ariaLabel: `Your answer to ${this.id.toUpperCase()}`})
    this.field.onkeydown = event => {
      if (event.key !== 'Enter' || event.shiftKey) return
      event.preventDefault()
      this.check()
    }
    this.field.oninput = () => keepGiven(this.id, {typed: this.field.value})
    this.buttons = make('div', {className: 'quiz-buttons'}, makeButton('Check', () => this.check(), {className: 'quiz-first'}),
      makeButton('Hint', event => this.open('hint', event, this.more)), makeButton('Show choices', event => this.choices(event)))
    this.verdict = make('div', {className: 'quiz-verdict', ariaLive: 'polite'})
    this.more = make('div')
    this.told = make('div')
    this.form = make('div', {}, this.field, this.buttons, this.more, this.verdict, this.told)
    this.section.append(this.form)
  }

  text(part) { // a copy of what is under a triangle, without the triangle
    const copy = make('div', {className: `quiz-${part}`}, ...this.parts[part].cloneNode(true).childNodes)
    copy.querySelector('summary').remove()
    return copy
  }

  open(part, event, place) { // the focus follows, so that it is read out and the keyboard goes on from there
    const text = this.text(part)
    place.append(text)
    Object.assign(text, {tabIndex: -1}).focus()
    event.target.remove()
  }

  attempted({ok, mistake}, source) { // from now on our answer may be seen
    const verdict = ok ? 'right' : ok === null ? "can't tell" : mistake ? `wrong: ${mistake}` : 'wrong'
    if (ok || !isSolved(this.id)) keepGiven(this.id, {verdict, source: `quiz.${this.id}.${source}`})
    rememberAnswer(this.id, ok)
    this.verdict.scrollIntoView({block: 'nearest'})
    if (ok) leaveField()
    this.offerAnswer()
  }

  offerAnswer() {
    if (this.buttons.querySelector('.quiz-told')) return
    this.buttons.append(makeButton('Show our answer', event => this.open('answer', event, this.told), {className: 'quiz-told'}))
  }

  say(id, {ok, mistake, text = ''}) {
    const name = id.toUpperCase(), why = mistake && [...this.parts.mistakes.querySelectorAll('li')].find(
      item => item.querySelector('strong').textContent === `${mistake}:`).cloneNode(true)
    const head = ok ? `✓ ${name} is right. ` : ok === false ? `✗ ${name} is not right yet: ` : `? ${name}: I can't tell. `
    why?.querySelector('strong').remove() // its name
    this.verdict.replaceChildren(make('p', {className: ok ? 'quiz-right' : ok === false ? 'quiz-wrong' : 'quiz-unclear'}, `${head}${text}${ok && mistake ? ' A slip:' : ''}`, ...(why ? (why.querySelector(':scope > p') || why).childNodes : [])))
  }

  check() {
    const answer = this.field.value.trim()
    if (!answer) return this.verdict.replaceChildren(make('p', {}, 'Type an answer first.'))
    const found = judgeAnswer(this.id, answer)
    found.text = asSentence(found.text || '')
    if (found.gaveUp) {
      this.verdict.replaceChildren(make('p', {}, 'Take a hint or the choices, or see our answer.'))
      return this.offerAnswer()
    }
    if (found.ok === null) found.text = `${found.text} Say it in another way, take a hint, or compare it yourself.`
    this.say(this.id, found)
    if (found.ok === null) this.verdict.append(makeButton('Compare with the points', event => { this.tick(); event.target.remove() }))
    this.attempted(found, `check(${JSON.stringify(answer)})`)
  }

  tick() { // the points, for the reader to compare
    const points = this.text('points')
    for (const item of points.querySelectorAll('li')) {
      const label = make('label', {}, make('input', {type: 'checkbox'}), make('span', {}, ...(item.querySelector(':scope > p') || item).childNodes))
      item.replaceChildren(label)
    }
    const enough = makeButton('I made these points: count it as solved', () => {
      rememberAnswer(this.id, null, true)
      this.verdict.replaceChildren(make('p', {className: 'quiz-right'}, `✓ ${this.id.toUpperCase()} is solved, as you said yourself.`))
      leaveField()
    }, {disabled: true})
    const least = QUIZ.questions[this.id].enough
    points.onchange = () => { enough.disabled = points.querySelectorAll('input:checked').length < least }
    this.verdict.append(make('p', {}, `These are the points of a full answer. Tick what you said, at least ${least}:`), points, enough)
    points.querySelector('input').focus()
  }

  choices(event) {
    const list = this.text('choices')
    this.letters = [...list.querySelectorAll('li')].map((item, i) => {
      const why = item.querySelector('details'), text = make('span', {}, ...item.querySelector('p').childNodes), right = item.dataset.right === '1'
      why.remove()
      const letter = makeButton('', () => this.choose(item, right, why.querySelector('.why'), 'abcdefgh'[i]))
      letter.append(make('b', {}, 'abcdefgh'[i]), text)
      item.removeAttribute('data-right')
      item.replaceChildren(letter)
      return letter
    })
    this.more.append(list)
    this.letters[0].focus()
    event.target.remove()
  }

  choose(item, right, why, name) { // one try each time
    for (const letter of this.letters) letter.disabled = true
    item.classList.add(right ? 'quiz-right' : 'quiz-wrong')
    this.say(this.id, {ok: right})
    this.verdict.firstChild.append(...why.cloneNode(true).querySelector('p').childNodes, right ? '' : ' You may still type an answer.')
    this.attempted({ok: right}, `choose('${name}')`)
  }
}

// --- all of them

const QUESTIONS = [...document.querySelectorAll('.quiz-question')].map(section => new QuizQuestion(section))
const WHICH = {'All questions': () => true, 'Not solved': id => !isSolved(id), 'To review': isDue, Missed: id => Boolean(entryOf(id).review)}
const LEFT = {'Not solved': 'All of these are solved.', 'To review': 'Nothing to review today. A question that you miss comes back the next day.',
  Missed: 'You have missed none, or have learned it since.'}
const BAR = {}
let asked = QUESTIONS, at = 0

function makeBar() {
  const select = (text, options) => {
    const field = make('select', {onchange: selectQuestions}, ...options.map(option => make('option', {}, option)))
    return [field, make('label', {}, `${text} `, field)]
  }
  const lessons = [...new Set(QUESTIONS.map(q => q.section.dataset.lesson))].sort(), labels = []
  for (const [name, text, options] of [['lesson', 'Lesson', ['All lessons', ...lessons]], ['which', 'Ask', Object.keys(WHICH)],
    ['shown', 'Show', ['one at a time', 'all at once']]]) {
    const [field, label] = select(text, options)
    BAR[name] = field
    labels.push(label)
  }
  Object.assign(BAR, {meter: make('progress', {max: QUESTIONS.length, ariaLabel: 'Solved'}), count: make('span'), note: make('p', {ariaLive: 'polite'}),
    back: makeButton('Back', event => turnTo(at - 1, !event.detail)), place: make('span'), next: makeButton('Next question', event => turnTo(at + 1, !event.detail))})
  BAR.numbers = make('div', {className: 'quiz-numbers'}, ...QUESTIONS.map(q => makeButton(q.id.replace('q', '').toUpperCase(), () => { location.hash = q.id; followLink() }, {ariaLabel: `Question ${q.id.replace('q', '').toUpperCase()}`})))
  BAR.forget = make('div', {className: 'quiz-buttons'}, makeButton('Hand in', handIn), makeButton('Forget what I solved', forgetAll))
  BAR.turn = make('div', {className: 'quiz-buttons'}, BAR.back, BAR.place, BAR.next)
  document.getElementById('quiz-bar').append(make('div', {className: 'quiz-buttons'}, ...labels), BAR.numbers, make('p', {className: 'quiz-keys'}, 'Green: solved. Orange: missed, and asked again another day.'),
    make('div', {className: 'quiz-buttons'}, BAR.meter, BAR.count), BAR.note)
  BAR.keys = make('p', {className: 'quiz-keys'}, 'Keys: Enter checks an answer, Shift and Enter begins a line, the arrows go back and on outside of a text, and a letter chooses, once the choices are shown.')
  QUESTIONS.at(-1).section.after(BAR.turn, BAR.keys, BAR.forget)
}

function showProgress() {
  const ids = QUESTIONS.map(q => q.id), due = ids.filter(isDue).length, solved = ids.filter(isSolved).length
  const alone = ids.filter(id => isSolved(id) && !entryOf(id).solved).length, missed = ids.filter(id => entryOf(id).review)
  BAR.meter.value = solved
  BAR.count.textContent = `${solved} of ${ids.length} solved${alone ? `, ${alone} of them as you said yourself` : ''}${due ? `, ${due} to review today` : ''}`
  if (solved === ids.length) BAR.count.textContent += missed.length ? `. All done; ${missed.map(id => id.toUpperCase()).join(', ')} missed at first will come back.` : '. All done.'
  for (const [i, number] of [...BAR.numbers.children].entries()) {
    const state = isSolved(ids[i]) ? 'solved' : entryOf(ids[i]).review ? 'missed' : entryOf(ids[i]).tries ? 'tried' : 'not tried'
    number.className = {solved: 'quiz-solved', missed: 'quiz-missed'}[state] || ''
    number.title = state
    number.setAttribute('aria-current', asked[at] === QUESTIONS[i] && BAR.shown.value === 'one at a time')
  }
  BAR.place.textContent = `${at + 1} of ${asked.length}${asked[at] && isSolved(asked[at].id) ? ', solved' : ''}`
}

function forgetAll() {
  if (!confirm('Forget all that this browser keeps of your answers, and begin anew?')) return
  for (const store of [STORE, GIVEN]) localStorage.removeItem(store)
  for (const q of QUESTIONS) q.begin()
  selectQuestions()
}

function selectQuestions() {
  const lesson = BAR.lesson.value, which = BAR.which.value
  asked = QUESTIONS.filter(q => (lesson === 'All lessons' || lesson === q.section.dataset.lesson) && WHICH[which](q.id))
  if (which === 'To review' || which === 'Missed') for (const q of asked) q.begin()
  BAR.note.textContent = asked.length ? '' : LEFT[which]
  turnTo(0)
}

function turnTo(place, typing = false) { // typing: by a key, so that the next one is for the field
  if (place < 0 || place >= Math.max(asked.length, 1)) return
  at = place
  const one = BAR.shown.value === 'one at a time'
  for (const q of QUESTIONS) q.section.hidden = one ? q !== asked[at] : !asked.includes(q)
  BAR.turn.hidden = !one || !asked.length
  BAR.keys.hidden = !one
  BAR.back.disabled = at === 0
  BAR.next.disabled = at >= asked.length - 1
  showProgress()
  if (typing && !asked[at].field.value) asked[at].field.focus()
}

function leaveField() { // the arrow keys then turn to another question
  if (!BAR.turn.hidden) (BAR.next.disabled ? BAR.back : BAR.next).focus({preventScroll: true})
}

function followLink() { // #q7 asks question 7
  const found = QUESTIONS.findIndex(q => `#${q.id}` === location.hash)
  if (found < 0) return
  BAR.lesson.value = 'All lessons'
  BAR.which.value = 'All questions'
  selectQuestions()
  turnTo(found)
}

document.addEventListener('keydown', event => {
  const field = event.target.closest('textarea')
  if (event.ctrlKey || event.metaKey || event.altKey || field?.value || event.target.closest('input, select, [contenteditable]')) return
  if (BAR.shown.value !== 'one at a time') return
  const letter = !field && asked[at]?.letters?.['abcdefgh'.indexOf(event.key)]
  if (letter) letter.click()
  else if (event.key === 'ArrowLeft' || event.key === 'ArrowRight') turnTo(at + (event.key === 'ArrowLeft' ? -1 : 1), true)
  else return
  event.preventDefault()
})
window.addEventListener('hashchange', followLink)
window.addEventListener('storage', showProgress)
makeBar()
selectQuestions()
if (QUESTIONS.some(q => !isSolved(q.id))) turnTo(QUESTIONS.findIndex(q => !isSolved(q.id)))
followLink()
