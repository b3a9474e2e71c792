/**
 * Jazz clients for tests: raw sockets that speak the dialect line by line, and a trace of what was said in the words of the
 * scenarios. Nothing here comes from our own codecs, so that both cannot be wrong in the same way.
 */
import { until } from './help.ts'

/** A message as it stands on the wire. */
export interface Line {
  readonly action: string
  readonly id: string
  readonly header?: unknown
  readonly sessions?: Record<string, number>
  readonly isCorrection?: boolean
  readonly new?: Record<string, { after: number; newTransactions: unknown[]; lastSignature?: string }>
  readonly [field: string]: unknown
}

export interface JazzClient {
  readonly heard: Line[]
  readonly pings: number
  readonly closed: Promise<{ code: number; reason: string }>
  say(...lines: Line[]): void
  /** Sends a frame as it is. */
  raw(frame: string | Uint8Array<ArrayBuffer>): void
  /** Waits until `count` messages came (keep-alives do not count), and a little longer for those that should not come. */
  hears(count: number): Promise<void>
  close(): Promise<void>
}

/** Connects; what is said and heard goes to `trace` as `C>S LOAD note=3`. */
export async function jazzClient(url: string, name = 'C', trace: string[] = []): Promise<JazzClient> {
  const socket = new WebSocket(url)
  const heard: Line[] = []
  let pings = 0
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.onclose = ({ code, reason }) => resolve({ code, reason })
  })
  socket.onmessage = ({ data }) => {
    for (const text of String(data).split('\n')) {
      const line = JSON.parse(text) as Line
      if (line.type === 'ping') pings += 1
      else {
        heard.push(line)
        trace.push(`S>${name} ${inWords(line)}`)
      }
    }
  }
  await new Promise<void>((resolve, reject) => {
    socket.onopen = () => resolve()
    socket.onerror = () => reject(new Error(`${url} refused the connection`))
  })
  return {
    heard,
    get pings() {
      return pings
    },
    closed,
    say(...lines) {
      for (const line of lines) trace.push(`${name}>S ${inWords(line)}`)
      socket.send(lines.map((line) => JSON.stringify(line)).join('\n'))
    },
    raw: (frame) => socket.send(frame),
    async hears(count) {
      await until(
        `${name} hears ${count} messages, has ${JSON.stringify(heard).slice(0, 500)}`,
        () => heard.length >= count,
      )
      await new Promise((resolve) => setTimeout(resolve, 20))
      if (heard.length > count) throw new Error(`${name} heard more than ${count}: ${JSON.stringify(heard)}`)
    },
    async close() {
      socket.close()
      await closed
    },
  }
}

const SESSION = '_session_z'

/**
 * Full ids from short names: documents `note`, sessions `a`. Sessions are those of an agent (a pair of keys), which is no document:
 * an account would be a dependency, and asked for.
 */
export const doc = (name: string): string => `co_z${name}`
export const session = (name: string): string => `sealer_zKey/signer_zKey${SESSION}${name}`

export function load(name: string, counts?: Record<string, number>): Line {
  return { action: 'load', id: doc(name), header: counts !== undefined, sessions: sessionsOf(counts ?? {}) }
}

export function known(name: string, counts: Record<string, number>): Line {
  return { action: 'known', id: doc(name), header: true, sessions: sessionsOf(counts) }
}

/** Transactions `after` to `until` of one session; with the header if it begins at 0 (or as told). */
export function content(name: string, author: string, after: number, until: number, withHeader = after === 0): Line {
  const newTransactions = Array.from({ length: until - after }, (_, index) => transaction(name, author, after + index))
  return {
    action: 'content',
    id: doc(name),
    ...(withHeader && { header: header(name) }),
    priority: 3,
    new: { [session(author)]: { after, newTransactions, lastSignature: `signature_z${author}${until}` } },
  }
}

export function header(name: string): unknown {
  return { type: 'comap', ruleset: { type: 'unsafeAllowAll' }, meta: null, uniqueness: `z${name}`, createdAt: null }
}

export function transaction(name: string, author: string, index: number): unknown {
  return { privacy: 'trusting', madeAt: index, changes: JSON.stringify([{ op: 'set', key: name, value: author }]) }
}

/** Everything that was sent to a client of one document, as session → transactions, put together as a client would. */
export function received(client: JazzClient, name: string): Map<string, unknown[]> {
  const held = new Map<string, unknown[]>()
  for (const line of client.heard) {
    if (line.action !== 'content' || line.id !== doc(name)) continue
    for (const [author, run] of Object.entries(line.new ?? {})) {
      const have = held.get(author) ?? []
      if (run.after > have.length) throw new Error(`a gap: ${author} at ${run.after}, held ${have.length}`)
      held.set(author, [...have.slice(0, run.after), ...run.newTransactions])
    }
  }
  return held
}

function sessionsOf(counts: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [session(name), count]))
}

/** `LOAD note=3`, `KNOWN! note=∅`, `CONTENT note header a:0+3`; a single session is not named. */
function inWords(line: Line): string {
  const name = line.id.replace(/^co_z/, '')
  switch (line.action) {
    case 'content': {
      const runs = Object.entries(line.new ?? {}).map(
        ([author, { after, newTransactions }]) => `${shortName(author)}:${after}+${newTransactions.length}`,
      )
      return ['CONTENT', name, ...(line.header === undefined ? [] : ['header']), ...runs].join(' ')
    }
    case 'load':
    case 'known': {
      const counts = Object.entries(line.sessions ?? {}).map(([author, count]) => `${shortName(author)}:${count}`)
      const word = line.action.toUpperCase() + (line.isCorrection === true ? '!' : '')
      return `${word} ${name}=${line.header === true ? counts.join(',') || '0' : '∅'}`
    }
    default:
      return `${line.action} ${name}`
  }
}

function shortName(author: string): string {
  return author.slice(author.indexOf(SESSION) + SESSION.length)
}
