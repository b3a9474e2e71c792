/**
 * A process that appends for ever and says what was acknowledged, one line of JSON for each batch, until it is killed.
 *
 * Arguments: the path of the store, the driver, a seed, how many batches were written before.
 */
import { writeSync } from 'node:fs'
import type { Append } from '@tidemark/storage'
import { betterSqlite3, sqliteStorage } from '../../src/index.ts'
import { nodeSqlite } from '../../src/node-sqlite.ts'
import { bytesOf, transaction } from '../support.ts'

const [path, driver, seed, written] = process.argv.slice(2) as [string, string, string, string]
const storage = sqliteStorage({ path, driver: driver === 'node' ? nodeSqlite : betterSqlite3 })
say({ opened: storage.open().generation })

let state = Number(seed) >>> 0
/** A number below `below`, from the seed. */
function random(below: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.floor((state / 2 ** 32) * below)
}

for (let batch = Number(written); ; batch++) {
  const ids = [...new Set(Array.from({ length: 1 + random(8) }, () => `document ${random(30)}`))]
  const contents = ids.map((id): Append => contentOf(id, random(40)))
  const marks = new Map([
    ['batch', bytesOf(String(batch))],
    ...ids.map((id) => [`last ${id}`, bytesOf(String(batch))] as const),
  ])
  const results = await storage.append(contents, { marks })
  const acknowledged = results.map((result, index) => {
    if ('failed' in result || result.state === undefined) throw new Error('not stored', { cause: result })
    return [ids[index], [...result.state.known.sessions]]
  })
  say({ batch, acknowledged, sequence: storage.changes({ since: 0, limit: 1000 }).at(-1)?.sequence })
}

/** Goes on in two sessions at once: each is as long as the other, always. */
function contentOf(id: string, more: number): Append {
  const held = storage.knownStates([id])[0]?.known.sessions.get('a') ?? 0
  const runs = ['a', 'b'].map((session) => ({
    session,
    after: held,
    transactions: Array.from({ length: more + 1 }, (_, index) => transaction(session, held + index, 20 + random(300))),
    seal: bytesOf(`${session} until ${held + more + 1}`),
  }))
  return { id, kind: 'json', priority: 3, header: bytesOf(`"${id}"`), runs }
}

/** At once, without a buffer that would be lost. */
function say(line: unknown): void {
  writeSync(1, `${JSON.stringify(line)}\n`)
}
