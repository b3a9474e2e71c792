/**
 * A list that many can edit at once: small operations, and a merge that gives everybody the same list in whatever order they come.
 *
 * Each operation carries a Lamport time: one more than the latest that its author had seen. Time and author together order all
 * operations. An item stands where it was added; its text and its check mark are what was said last; removed stays removed.
 * This is the application's part: Tidemark carries operations as bytes and knows nothing of lists.
 * Not here: where operations come from (`page/shared-list.ts`).
 */
export type Operation =
  | { readonly op: 'add'; readonly time: number; readonly item: string; readonly text: string }
  | { readonly op: 'rename'; readonly time: number; readonly item: string; readonly text: string }
  | { readonly op: 'check'; readonly time: number; readonly item: string; readonly checked: boolean }
  | { readonly op: 'remove'; readonly time: number; readonly item: string }

export interface Item {
  readonly id: string
  readonly text: string
  readonly checked: boolean
}

export interface List {
  /** Takes an operation of an author; the same one again changes nothing. */
  apply(author: string, operation: Operation): void
  /** What is on the list, in its order. */
  items(): Item[]
  /** A time later than all that was seen or handed out. */
  nextTime(): number
}

/** When and by whom something was said. */
interface Stamp {
  readonly time: number
  readonly author: string
}

/** What was said last about one property of an item. */
interface Said<T> extends Stamp {
  readonly value: T
}

/** Operations on an item may come before the item itself: everything is kept until it is there. */
interface Entry {
  readonly id: string
  added: Stamp | undefined
  text: Said<string> | undefined
  checked: Said<boolean> | undefined
  removed: boolean
}

export function createList(): List {
  const entries = new Map<string, Entry>()
  let latest = 0

  function entryOf(id: string): Entry {
    const entry = entries.get(id) ?? { id, added: undefined, text: undefined, checked: undefined, removed: false }
    entries.set(id, entry)
    return entry
  }

  return {
    apply(author, operation) {
      const { time } = operation
      const entry = entryOf(operation.item)
      latest = Math.max(latest, time)
      if (operation.op === 'remove') entry.removed = true
      else if (operation.op === 'check')
        entry.checked = later(entry.checked, { time, author, value: operation.checked })
      else entry.text = later(entry.text, { time, author, value: operation.text })
      if (operation.op === 'add') entry.added = earlier(entry.added, { time, author })
    },
    items() {
      const shown = [...entries.values()].filter(isShown).sort((a, b) => compare(a.added, b.added))
      return shown.map(({ id, text, checked }) => ({ id, text: text.value, checked: checked?.value ?? false }))
    },
    nextTime() {
      latest += 1
      return latest
    },
  }
}

/**
 * The operation that a payload holds; `undefined` if it holds none that is understood here: what newer pages write is left to them.
 */
export function readOperation(value: unknown): Operation | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { op, time, item, text, checked } = value as Record<string, unknown>
  if (typeof item !== 'string' || typeof time !== 'number' || !Number.isSafeInteger(time) || time < 0) return undefined
  if ((op === 'add' || op === 'rename') && typeof text === 'string') return { op, time, item, text }
  if (op === 'check' && typeof checked === 'boolean') return { op, time, item, checked }
  return op === 'remove' ? { op, time, item } : undefined
}

function later<T>(before: Said<T> | undefined, said: Said<T>): Said<T> {
  return before !== undefined && compare(before, said) >= 0 ? before : said
}

function earlier(before: Stamp | undefined, stamp: Stamp): Stamp {
  return before !== undefined && compare(before, stamp) <= 0 ? before : stamp
}

function compare(a: Stamp, b: Stamp): number {
  if (a.time !== b.time) return a.time - b.time
  return a.author < b.author ? -1 : Number(a.author > b.author)
}

type Shown = Entry & { readonly added: Stamp; readonly text: Said<string> }

function isShown(entry: Entry): entry is Shown {
  return entry.added !== undefined && entry.text !== undefined && !entry.removed
}
