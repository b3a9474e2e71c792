/**
 * A process that appends for ever and says what was acknowledged, one line of JSON for each batch, until it is killed.
 *
 * Several batches are under way at a time, so that a kill meets some of each stage. Arguments: the folder of the store, a seed, the
 * number of the first batch.
 */
import { writeSync } from 'node:fs'
import type { Append } from '@tidemark/storage'
import { leveldbStorage } from '../../src/index.ts'
import { bytesOf, transaction } from '../support.ts'

const [path, seed, first] = process.argv.slice(2) as [string, string, string]
const WRITERS = 4

const storage = leveldbStorage({ path })
say({ opened: (await storage.open()).generation })

let state = Number(seed) >>> 0
/** A number below `below`, from the seed. */
function random(below: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return Math.floor((state / 2 ** 32) * below)
}

/** Each writer has documents of its own, and numbers its batches; its last is in a mark of its own. */
async function write(writer: number): Promise<void> {
  for (let batch = Number(first); ; batch++) {
    const ids = [...new Set(Array.from({ length: 1 + random(8) }, () => `document ${writer}/${random(12)}`))]
    const contents = await Promise.all(ids.map((id) => contentOf(id, random(40))))
    const marks = new Map([
      [`batch ${writer}`, bytesOf(String(batch))],
      ...ids.map((id) => [`last ${id}`, bytesOf(String(batch))] as const),
    ])
    const results = await storage.append(contents, { marks })
    const acknowledged = results.map((result, index) => {
      if ('failed' in result || result.state === undefined) throw new Error('not stored', { cause: result })
      return [ids[index], [...result.state.known.sessions]]
    })
    say({ writer, batch, acknowledged })
  }
}

/** Goes on in two sessions at once: each is as long as the other, always. */
async function contentOf(id: string, more: number): Promise<Append> {
  const held = (await storage.knownStates([id]))[0]?.known.sessions.get('a') ?? 0
  const runs = ['a', 'b'].map((session) => ({
    session,
    after: held,
    transactions: Array.from({ length: more + 1 }, (_, index) => transaction(session, held + index, 20 + random(300))),
    seal: bytesOf(`${session} until ${held + more + 1}`),
  }))
  // Half of them have digests.
  const kind = Number(id.at(-1)) % 2 === 0 ? 'json' : 'bytes'
  return { id, kind, priority: 3, header: bytesOf(`"${id}"`), runs }
}

/** At once, without a buffer that would be lost. */
function say(line: unknown): void {
  writeSync(1, `${JSON.stringify(line)}\n`)
}

await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)))
