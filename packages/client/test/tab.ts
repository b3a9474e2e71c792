/**
 * What a tab does in tabs-in-chromium.test.ts. Runs in a page; the test calls it by name.
 */
import { indexeddbStorage } from '@tidemark/storage-indexeddb'
import { webSocket } from '@tidemark/websocket'
import { createTabClient, type TabClient } from '../src/browser.ts'
import { type Doc, jsonPayload, parseJson } from '../src/index.ts'

const header = jsonPayload({ root: true })
const docs = new Map<string, Doc>()
const seen = new Map<string, string[]>()
let client: TabClient

export async function start(name: string, port: number): Promise<void> {
  client = await createTabClient({
    name,
    storage: () => indexeddbStorage({ name }),
    connect: webSocket(`ws://127.0.0.1:${port}`),
    kind: 'json',
    limits: { reconnectMs: 20 },
  })
}

export function look() {
  const { role, connection } = client
  return { role, connection, ...client.status() }
}

/** Opens a document, creates it if it is absent, and remembers what comes. */
export async function open(id: string): Promise<string> {
  const doc = client.open(id)
  docs.set(id, doc)
  const lines: string[] = []
  seen.set(id, lines)
  doc.subscribe(({ runs }) => {
    for (const { session, after, transactions } of runs)
      for (const [index, transaction] of transactions.entries())
        lines.push(`${session}:${after + index}=${parseJson(transaction)}`)
  })
  const state = await doc.settled()
  if (state === 'absent') await doc.create({ header }).catch(() => {})
  return state
}

export async function write(id: string, session: string, from: number, until: number, tell: string): Promise<void> {
  const told = (globalThis as unknown as Record<string, (count: number) => void>)[tell]
  for (let value = from; value < until; value++) {
    await docs.get(id)?.append(session, [jsonPayload(value)])
    told?.(value + 1)
  }
}

export const heard = (id: string): readonly string[] => seen.get(id) ?? []
export const whenUploaded = (): Promise<void> => client.whenUploaded()
export const disconnect = (): void => client.disconnect()
