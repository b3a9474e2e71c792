/**
 * The list on the page: one row per item, kept when the list changes, so that focus, selection and what is being typed stay.
 *
 * Not here: what a change does (`shared-list.ts`).
 */
import type { Item } from '../list.ts'
import { byId, make, plural, setText } from './elements.ts'
import type { SharedList } from './shared-list.ts'

export interface ListView {
  /** Shows the list as it is now. What changed elsewhere lights up for a moment. */
  show(list: SharedList, from: 'here' | 'elsewhere'): void
  /** Says that something went wrong. */
  warn(message: string): void
}

interface Row {
  readonly element: HTMLLIElement
  readonly checkbox: HTMLInputElement
  readonly text: HTMLInputElement
  readonly remove: HTMLButtonElement
  shown: Item
}

/** `current` answers the list that is shown, for what the user does to it. */
export function createListView(current: () => SharedList): ListView {
  const form = byId('add', HTMLFormElement)
  const input = byId('text', HTMLInputElement)
  const notice = byId('notice', HTMLElement)
  const items = byId('items', HTMLUListElement)
  const count = byId('count', HTMLElement)
  const announcement = byId('announcement', HTMLElement)
  const rows = new Map<string, Row>()
  /** The list that was shown last, once it was there. */
  let shown: SharedList | undefined
  /** Stays until the user does something else. */
  let warning: string | undefined

  form.addEventListener('submit', (event) => {
    event.preventDefault()
    const text = input.value.trim()
    if (text === '' || current().state.kind !== 'ready') return
    current().add(text)
    input.value = ''
    input.focus()
  })
  items.addEventListener('keydown', (event) => {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0
    const fields = [...items.querySelectorAll<HTMLInputElement>('input[type="text"]')]
    const index = fields.indexOf(event.target as HTMLInputElement)
    if (step === 0 || index < 0) return
    event.preventDefault()
    ;(fields[index + step] ?? input).focus()
  })

  function rowOf(item: Item): Row {
    const checkbox = make('input', { type: 'checkbox' })
    const text = make('input', { type: 'text', maxLength: 200 })
    const remove = make('button', { type: 'button', textContent: '×' })
    const row: Row = {
      element: make('li', { className: 'item' }, checkbox, text, remove),
      checkbox,
      text,
      remove,
      shown: item,
    }
    checkbox.addEventListener('change', () => current().check(item.id, checkbox.checked))
    text.addEventListener('change', () => {
      const renamed = text.value.trim()
      if (renamed === '') text.value = row.shown.text
      else if (renamed !== row.shown.text) current().rename(item.id, renamed)
    })
    text.addEventListener('keydown', ({ key }) => {
      if (key === 'Escape') text.value = row.shown.text
      if (key === 'Escape' || key === 'Enter') text.blur()
    })
    remove.addEventListener('click', () => {
      const next = row.element.nextElementSibling ?? row.element.previousElementSibling
      current().remove(item.id)
      ;(next?.querySelector('button') ?? input).focus()
    })
    return row
  }

  function fill(row: Row, item: Item): void {
    row.shown = item
    row.checkbox.checked = item.checked
    row.checkbox.setAttribute('aria-label', `Done: ${item.text}`)
    row.text.setAttribute('aria-label', `Text of ${item.text}`)
    row.remove.setAttribute('aria-label', `Remove ${item.text}`)
    row.element.classList.toggle('checked', item.checked)
    // What is being typed here is not typed over.
    if (document.activeElement !== row.text) row.text.value = item.text
  }

  function showItems(list: readonly Item[], isFresh: boolean): number {
    let changes = 0
    const before = new Set(rows.keys())
    for (const [index, item] of list.entries()) {
      const row = rows.get(item.id) ?? rowOf(item)
      const isNew = !before.delete(item.id)
      const isChanged = isNew || row.shown.text !== item.text || row.shown.checked !== item.checked
      rows.set(item.id, row)
      fill(row, item)
      if (items.children[index] !== row.element) items.insertBefore(row.element, items.children[index] ?? null)
      if (!isChanged) continue
      changes += 1
      if (isFresh) light(row.element)
    }
    for (const id of before) {
      rows.get(id)?.element.remove()
      rows.delete(id)
    }
    return changes + before.size
  }

  function showNotice(list: SharedList): void {
    notice.classList.toggle('bad', warning !== undefined)
    setText(notice, warning ?? noticeFor(list))
  }

  return {
    show(list, from) {
      const { state } = list
      const ready = state.kind === 'ready'
      const all = ready ? state.items : []
      const isNews = from === 'elsewhere' && shown === list
      const changes = showItems(all, isNews)
      shown = ready ? list : undefined
      for (const control of form.querySelectorAll<HTMLInputElement>('input, button')) control.disabled = !ready
      const left = all.filter(({ checked }) => !checked).length
      setText(count, all.length === 0 ? '' : `${left} of ${plural(all.length, 'item')} left`)
      if (from === 'here') warning = undefined
      showNotice(list)
      if (isNews && changes > 0)
        setText(announcement, `The list was changed elsewhere: ${left} of ${plural(all.length, 'item')} left`)
    },
    warn(message) {
      warning = message
      showNotice(current())
    },
  }
}

function noticeFor({ state }: SharedList): string {
  if (state.kind === 'asking') return 'Asking for the list…'
  if (state.kind === 'unreachable')
    return 'The server could not be asked whether there is such a list, so this tab does not make one up. It asks again when there is a connection.'
  return state.items.length === 0 ? 'Nothing here yet. What you add appears in every tab.' : ''
}

function light(row: HTMLElement): void {
  row.classList.remove('fresh')
  // Read, so that the animation begins anew.
  void row.offsetWidth
  row.classList.add('fresh')
}
