/**
 * One shared list: a document of Tidemark, its operations merged into a list.
 *
 * Everything about sync that the page needs is in this file: open, create only when everybody said that there is none, take
 * operations as they come, append one's own. The header is made of the id alone, so two tabs that create the same list at the same
 * time create the same document. Not here: the connection (`main.ts`), what it looks like (`list-view.ts`).
 */
import { type Client, ClientError, jsonPayload, parseJson, type Received } from '@tidemark/client'
import { createList, type Item, type Operation, readOperation } from '../list.ts'

export type SharedListState =
  | { readonly kind: 'asking' }
  | { readonly kind: 'ready'; readonly items: readonly Item[] }
  /** Nobody who may hold it could be asked. */
  | { readonly kind: 'unreachable' }

export interface SharedList {
  readonly id: string
  readonly state: SharedListState
  /** Whether the server has everything; `undefined` without a connection. */
  readonly saved: boolean | undefined
  /** How many changes of this tab the server has not confirmed. */
  readonly unsaved: number
  add(text: string): void
  rename(item: string, text: string): void
  check(item: string, checked: boolean): void
  remove(item: string): void
  close(): Promise<void>
}

export interface SharedListEvents {
  /** Something changed; `from` says whose doing it was. */
  changed(from: 'here' | 'elsewhere'): void
  /** A change could not be kept. */
  lost(error: unknown): void
}

/** An operation without the time, which is added when it is issued. */
type Wish = Operation extends infer O ? (O extends Operation ? Omit<O, 'time'> : never) : never

type Entry = readonly [author: string, operation: Operation]

/** `session` is this tab's own, for as long as it lives: a session has one writer. */
export function openSharedList(client: Client, id: string, session: string, events: SharedListEvents): SharedList {
  /** Everything the list is made of, own changes included as soon as they are made. */
  let log: Entry[] = []
  let list = createList()
  const doc = client.open(id, { kind: 'json' })
  let unsaved = 0
  let creating = false
  /** What was there when the list was opened has come, or there was nothing. */
  let loaded = false

  doc.watch(() => {
    if (doc.state === 'absent') createIt()
    if (doc.status.uploaded === true) unsaved = 0
    events.changed('elsewhere')
  })
  doc.subscribe((content) => {
    for (const entry of entriesOf(content)) take(entry)
    loaded ||= !content.more
    events.changed('elsewhere')
  })

  function createIt(): void {
    if (creating) return
    creating = true
    doc.create({ header: jsonPayload({ type: 'list', id }) }).then(
      () => {
        loaded = true
        events.changed('here')
      },
      (error: unknown) => {
        creating = false
        // Somebody was faster: then it is there.
        if (!(error instanceof ClientError && error.code === 'EXISTS')) events.lost(error)
      },
    )
  }

  function take(entry: Entry): void {
    log.push(entry)
    list.apply(...entry)
  }

  /** Shown at once; Tidemark stores it and sends it on by itself. If it could not be stored, it is taken back. */
  function issue(wish: Wish): void {
    const operation: Operation = { ...wish, time: list.nextTime() }
    const entry: Entry = [session, operation]
    unsaved += 1
    take(entry)
    doc.append(session, [jsonPayload(operation)]).catch((error: unknown) => {
      takeBack(entry)
      events.lost(error)
    })
    events.changed('here')
  }

  function takeBack(entry: Entry): void {
    unsaved = Math.max(0, unsaved - 1)
    log = log.filter((other) => other !== entry)
    list = createList()
    for (const kept of log) list.apply(...kept)
    events.changed('here')
  }

  return {
    id,
    get state(): SharedListState {
      if (doc.state === 'failed') return { kind: 'unreachable' }
      // Absent lasts only until this tab has created it.
      return loaded ? { kind: 'ready', items: list.items() } : { kind: 'asking' }
    },
    get saved() {
      return doc.status.uploaded
    },
    get unsaved() {
      return unsaved
    },
    add: (text) => issue({ op: 'add', item: `${session}-${list.nextTime()}`, text }),
    rename: (item, text) => issue({ op: 'rename', item, text }),
    check: (item, checked) => issue({ op: 'check', item, checked }),
    remove: (item) => issue({ op: 'remove', item }),
    close: () => doc.close(),
  }
}

/** What others wrote, as far as this page understands it. */
function entriesOf({ runs }: Received): Entry[] {
  return runs.flatMap(({ session, transactions }) =>
    transactions.flatMap((payload): Entry[] => {
      const operation = readOperation(parseJson(payload))
      return operation === undefined ? [] : [[session, operation]]
    }),
  )
}
