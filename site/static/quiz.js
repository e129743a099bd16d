// The quiz as a page. The texts are in the page, the patterns and numbers by which an answer is judged in its data; what is solved is kept in
// localStorage. An answer is right, a known mistake, or one that the page can't tell about: then the reader ticks the points.
'use strict'
const QUIZ = JSON.parse(document.getElementById('quiz-data').textContent)
const STORE = 'pet_breeds.quiz'

// --- judging, as pet_breeds.judge does it

function quizWords(answer) {
  let text = answer.toLowerCase()
  const list = text.match(/^\s*[[(](.*)[\])]\s*$/s)
  if (list) text = list[1].replace(/["']\s*,\s*["']/g, '; ').replace(/^\s*["']|["']\s*$/g, '')
  for (const [short, long] of Object.entries(QUIZ.short)) text = text.replaceAll(short, long)
  return text.replace(/\n\s*(\n|[-*#]+ |\d+\. )/g, '; ').replace(/[*`$]|<br>/g, '').split(/\s+/).filter(Boolean).join(' ')
}

function foundIn(text, pattern) { // without what the text denies
  const denied = new RegExp(QUIZ.patterns.denied)
  return [...text.matchAll(new RegExp(pattern, 'g'))].filter(m => !denied.test(text.slice(Math.max(0, m.index - 50), m.index))).map(m => m[0])
}

const claimed = (text, pattern, excuse) => foundIn(text, pattern).length > 0 && !(excuse && claimed(text, excuse))

function countNamed(text, two) { // how many of the names a text has, or claims the parts of
  const said = [...foundIn(text, '[a-z_]\\w*'), ...two.parts.filter(([, ...mark]) => claimed(text, ...mark)).map(([name]) => name)]
  return two.names.filter(name => said.includes(name)).length
}

function isJumbled(answer) {
  const count = (name, text) => [...text.matchAll(new RegExp(QUIZ.patterns[name], 'g'))].length, text = quizWords(answer)
  const odd = count('pairs', text) + count('doubled', text) + count('capital', answer) + count('loose', text.replace(/\.+$/, ''))
  return odd > Math.floor(text.split(' ').length / 40)
}

function numbersOf(answer) { // null if it holds anything else than numbers
  const parts = answer.trim().replace(/[−–]/g, '-').replace(/\s+%/g, '%').replace(/10\^\(?(-?\d+)\)?/g, '1e$1').split(/[\s,;[\](){}]+/).filter(Boolean)
  const values = parts.map(part => {
    const [, number, below, percent] = part.match(/^([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(?:\/(\d+\.?\d*))?(%?)$/i) || []
    return number === undefined ? NaN : number / (below || 1) / (percent ? 100 : 1)
  })
  return values.length && values.every(Number.isFinite) ? values : null
}

function judgeNumbers(table, given) {
  if (table.percent) given = given.map(x => x > 1 ? x / 100 : x)
  const near = row => row.length === given.length && row.every((x, i) => Math.abs(x - given[i]) <= table.within)
  if (table.right.some(near)) return {ok: true}
  const mistake = Object.entries(table.mistakes || {}).find(([, rows]) => rows.some(near))
  if (mistake) return {ok: false, mistake: mistake[0]}
  return table.otherwise ? {ok: false, text: `${table.otherwise}.`} : {ok: null}
}

function readWords(q, answer) {
  const text = quizWords(answer), unclear = text => ({ok: null, text})
  if (!q.points.length && !q.two) return unclear('') // it has no patterns
  if (text.length > QUIZ.longest) return unclear(`These are more than ${QUIZ.longest} characters.`)
  if (new RegExp(QUIZ.patterns.denial).test(text)) return unclear('It reads as if you deny what you say: say what is so.')
  const sentences = text.split(new RegExp(QUIZ.patterns.sentence)).map(s => s.trim()).filter(Boolean)
  if (text.length > 20 && sentences.every(s => q.asked.includes(s))) return unclear('These are the words of the question or its hint.')
  const missing = q.points.filter(([, ...mark]) => !claimed(text, ...mark)).map(([subject]) => subject)
  const mistake = q.mistakes.find(([, ...mark]) => claimed(text, ...mark))
  if (missing.length && mistake) return {ok: false, mistake: mistake[0]}
  if (missing.length) return unclear(`I found nothing on ${missing.join(' or on ')}.`)
  if (q.partly) return unclear('')
  const count = q.two ? countNamed(text, q.two) : 2
  if (count < 2) return mistake ? {ok: false, mistake: mistake[0]} : unclear(`I found ${count} that I know; two are asked.`)
  if (isJumbled(answer)) return unclear('I found the words, and they are not in the order of a sentence.')
  return {ok: true, text: q.remarks.filter(([, ...mark]) => claimed(text, ...mark)).map(([remark]) => remark).join(' '), mistake: mistake && mistake[0]}
}

function judgePattern(answer) { // of question 2, on the names of its files
  const pattern = answer.trim().replace(/^r?(["'`])(.*)\1$/s, '$2'), {files, endless, dotless} = QUIZ.regex, unclear = {ok: null, text: 'This page cannot run it.'}
  if (!/[([]/.test(pattern) || /[+*}]\)+[+*{]/.test(pattern)) return unclear // no pattern, or one that may take forever
  let regex
  try { regex = new RegExp(pattern) } catch { return unclear }
  const got = Object.keys(files).map(name => name.match(regex)?.[1]), want = Object.values(files)
  const same = (...places) => places.every(i => got[i] === want[i])
  if (same(0, 1, 2) && regex.test(endless)) return {ok: false, text: 'The pattern does not say how the name must end.'}
  if (same(0, 1, 2)) return regex.test(dotless) ? {ok: false, mistake: 'dot'} : {ok: true}
  if (got[0] === 'great') return {ok: false, mistake: 'first underscore'}
  if (same(0, 2)) return {ok: false, mistake: 'lower case'}
  return {ok: false, text: `${Object.keys(files)[0]} gives ${got[0] === undefined ? 'nothing' : got[0]}.`}
}

function judgeAnswer(id, answer) { // {ok: true, false or null, mistake: its name, text}
  if (/^\s*(lambda\b|def )/.test(answer)) return {ok: null, text: `Functions are judged by Python: quiz.${id}.check(...) in a notebook.`}
  if (id === 'q2') return judgePattern(answer)
  const q = QUIZ.questions[id], given = numbersOf(answer)
  const named = q.names[quizWords(answer).replace(/["'‘’]/g, '').replace(/\s*[;,]\s*|\s+/g, ', ')]
  if (named) return {ok: named[0], mistake: named[1], text: named[2]}
  return given && q.numbers ? judgeNumbers(q.numbers, given) : readWords(q, answer)
}

// --- progress: as pet_breeds.progress keeps it

function dayAfter(days) {
  const now = new Date(), day = new Date(now.getFullYear(), now.getMonth(), now.getDate() + days)
  return [day.getFullYear(), day.getMonth() + 1, day.getDate()].map(n => String(n).padStart(2, '0')).join('-')
}

function readKept() {
  try {
    const kept = JSON.parse(localStorage.getItem(STORE))
    return kept && typeof kept === 'object' ? kept : {}
  } catch { return {} }
}

const entryOf = id => ({tries: 0, solved: false, ...readKept()[id]})
const isSolved = id => Boolean(entryOf(id).solved || entryOf(id).by_you)
const isDue = id => dayAfter(0) >= (entryOf(id).review || '9999')

function planReview(entry, ok) {
  if (ok === false) return {review: dayAfter(QUIZ.gaps[0]), reviewed: 0}
  if (!ok || !entry.review || entry.review > dayAfter(0)) return entry.review ? {review: entry.review, reviewed: entry.reviewed} : {}
  const reviewed = entry.reviewed + 1
  return reviewed === QUIZ.gaps.length ? {} : {review: dayAfter(QUIZ.gaps[reviewed]), reviewed}
}

function rememberAnswer(id, ok, byYou = false) {
  const {review, reviewed, ...entry} = entryOf(id)
  if (byYou) entry.by_you = true
  else Object.assign(entry, {tries: entry.tries + 1, solved: entry.solved || ok === true})
  try { localStorage.setItem(STORE, JSON.stringify({...readKept(), [id]: {...entry, ...planReview({review, reviewed}, byYou || ok)}})) }
  catch { BAR.note.textContent = 'Your browser lets this page keep nothing: progress ends with the page.' }
  showProgress()
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
  }

  begin() { // as if it had not been asked
    this.form?.remove()
    this.letters = null
    this.field = make('textarea', {rows: 2, placeholder: 'Your answer', ariaLabel: `Your answer to ${this.id.toUpperCase()}`})
    this.field.onkeydown = event => {
      if (event.key !== 'Enter' || event.shiftKey) return
      event.preventDefault()
      this.check()
    }
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

  open(part, event, place) {
    event.target.remove()
    place.append(this.text(part))
  }

  attempted(ok) { // from now on our answer may be seen
    rememberAnswer(this.id, ok)
    this.verdict.scrollIntoView({block: 'nearest'})
    if (this.buttons.querySelector('.quiz-told')) return
    this.buttons.append(makeButton('Show our answer', event => this.open('answer', event, this.told), {className: 'quiz-told'}))
  }

  say(id, {ok, mistake, text = ''}) {
    const name = id.toUpperCase(), why = mistake && [...this.parts.mistakes.querySelectorAll('li')].find(
      item => item.querySelector('strong').textContent === `${mistake}:`).cloneNode(true)
    const head = ok ? `✓ ${name} is right. ` : ok === false ? `✗ ${name} is not right yet. ` : `? ${name}: I can't tell. `
    this.verdict.replaceChildren(make('p', {className: ok ? 'quiz-right' : ok === false ? 'quiz-wrong' : ''}, `${head}${text}${ok && mistake ? ' A slip: ' : ''}`))
    if (why) this.verdict.append(...why.childNodes)
  }

  check() {
    const answer = this.field.value.trim()
    if (!answer) return this.verdict.replaceChildren(make('p', {}, 'Type an answer first.'))
    const found = judgeAnswer(this.id, answer)
    this.say(this.id, found)
    if (found.ok === null) this.tick(quizWords(answer).split(' ').length > 2)
    this.attempted(found.ok)
  }

  tick(isProse) { // the points, for the reader to compare; those of a name only when asked for, as they give it away
    if (!isProse) return this.verdict.append(makeButton('Compare it yourself', event => { event.target.remove(); this.tick(true) }))
    const points = this.text('points')
    for (const item of points.querySelectorAll('li')) {
      const label = make('label', {}, make('input', {type: 'checkbox'}), make('span', {}, ...(item.querySelector(':scope > p') || item).childNodes))
      item.replaceChildren(label)
    }
    const enough = makeButton('I made these points: count it as solved', () => {
      rememberAnswer(this.id, null, true)
      this.verdict.replaceChildren(make('p', {className: 'quiz-right'}, `✓ ${this.id.toUpperCase()} is solved, by your own word.`))
    })
    this.verdict.append(make('p', {}, 'These are the points of a full answer. Tick what you said:'), points, enough)
  }

  choices(event) {
    event.target.remove()
    const list = this.text('choices')
    this.letters = [...list.querySelectorAll('li')].map((item, i) => {
      const why = item.querySelector('details'), text = make('span', {}, ...item.querySelector('p').childNodes), right = item.dataset.right === '1'
      why.remove()
      const letter = makeButton('', () => this.choose(item, right, why.querySelector('.why')))
      letter.append(make('b', {}, 'abcdefgh'[i]), text)
      item.removeAttribute('data-right')
      item.replaceChildren(letter)
      return letter
    })
    this.more.append(list)
  }

  choose(item, right, why) { // one try each time
    for (const letter of this.letters) letter.disabled = true
    item.classList.add(right ? 'quiz-right' : 'quiz-wrong')
    this.say(this.id, {ok: right})
    this.verdict.append(...why.cloneNode(true).childNodes)
    this.attempted(right)
  }
}

// --- all of them

const QUESTIONS = [...document.querySelectorAll('.quiz-question')].map(section => new QuizQuestion(section))
const WHICH = {'All questions': () => true, 'Not solved': id => !isSolved(id), 'To review': isDue}
const LEFT = {'Not solved': 'All of these are solved.', 'To review': 'Nothing to review today. A question that you miss comes back the next day.'}
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
    back: makeButton('Back', () => turnTo(at - 1)), place: make('span'), next: makeButton('Next', () => turnTo(at + 1))})
  BAR.turn = make('div', {className: 'quiz-buttons'}, BAR.back, BAR.place, BAR.next)
  document.getElementById('quiz-bar').append(make('div', {className: 'quiz-buttons'}, ...labels), make('div', {className: 'quiz-buttons'}, BAR.meter, BAR.count), BAR.note)
  QUESTIONS.at(-1).section.after(BAR.turn, make('p', {className: 'quiz-keys'}, 'Keys: Enter checks an answer, Shift and Enter begins a line, the arrows go back and on, and a letter chooses, once the choices are shown.'))
}

function showProgress() {
  const ids = QUESTIONS.map(q => q.id), due = ids.filter(isDue).length
  BAR.meter.value = ids.filter(isSolved).length
  BAR.count.textContent = `${BAR.meter.value} of ${ids.length} solved${due ? `, ${due} to review today` : ''}`
}

function selectQuestions() {
  const lesson = BAR.lesson.value, which = BAR.which.value
  asked = QUESTIONS.filter(q => (lesson === 'All lessons' || lesson === q.section.dataset.lesson) && WHICH[which](q.id))
  if (which === 'To review') for (const q of asked) q.begin()
  BAR.note.textContent = asked.length ? '' : LEFT[which]
  turnTo(0)
}

function turnTo(place) {
  if (place < 0 || place >= Math.max(asked.length, 1)) return
  at = place
  const one = BAR.shown.value === 'one at a time'
  for (const q of QUESTIONS) q.section.hidden = one ? q !== asked[at] : !asked.includes(q)
  BAR.turn.hidden = !one || !asked.length
  BAR.place.textContent = `${at + 1} of ${asked.length}`
  BAR.back.disabled = at === 0
  BAR.next.disabled = at >= asked.length - 1
  showProgress()
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
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select, [contenteditable]')) return
  if (BAR.shown.value !== 'one at a time') return
  const letter = asked[at]?.letters?.['abcdefgh'.indexOf(event.key)]
  if (letter) letter.click()
  else if (event.key === 'ArrowLeft' || event.key === 'ArrowRight') turnTo(at + (event.key === 'ArrowLeft' ? -1 : 1))
  else return
  event.preventDefault()
})
window.addEventListener('hashchange', followLink)
window.addEventListener('storage', showProgress)
makeBar()
selectQuestions()
followLink()
