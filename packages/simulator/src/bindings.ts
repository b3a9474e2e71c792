/**
 * A scenario for a binding of somebody's own: what stands between documents and a data type, in the hands of a few people and bad luck.
 *
 * Everybody writes to one document, and starts again after every crash with what the disk still holds. In the end all show the same, and
 * nothing that was said to be written is missing. Not here: the laws of the engine (`checkers`), which are judged as well.
 */
import type { Doc } from '@tidemark/client'
import { checkCount } from './check.ts'
import type { Scenario } from './simulate.ts'
import { trouble } from './troubles.ts'
import { Violation } from './violation.ts'

export interface BindingUnderTest<Bound> {
  /** Begins to follow a document, in every process anew. `session` belongs to this process alone (L13). */
  bind(doc: Doc, session: string): Bound
  /** Writes a text that nobody else writes; resolves when it may not be lost any more. What rejects is an outcome like any other. */
  write(bound: Bound, text: string): Promise<unknown>
  /** All texts that it shows, in the order in which it shows them. */
  read(bound: Bound): readonly string[]
}

export interface BindingsOptions {
  readonly clients?: number
  /** Of each client. */
  readonly writes?: number
}

const ID = 'document'
const LASTS_MS = 30_000
/** Longer than the longest back-off. */
const HEALS_MS = 200_000
/** Until everybody has what one writes. */
const WRITES_MS = 10_000

/**
 * Plays with profiles whose disks last: `withLastingDisks(storm)`. Where a disk is lost, so is what was written to it alone.
 *
 * @throws TypeError for numbers that make no world; a `bind` that returns nothing fails its world with one.
 */
export function bindings<Bound>(binding: BindingUnderTest<Bound>, options: BindingsOptions = {}): Scenario {
  const { clients: count = 3, writes = 20 } = options
  checkCount('clients', count, 1)
  checkCount('writes', writes, 0)
  return async (world) => {
    const server = await world.server('server')
    /** Of the last process of each client. */
    const bounds = new Map<string, Bound>()
    const docs = new Map<string, Doc>()
    let attempts = 0
    const written = new Set<string>()

    function write(name: string, text: string): void {
      attempts += 1
      const bound = bounds.get(name)
      if (bound === undefined) return
      binding.write(bound, text).then(
        () => written.add(text),
        () => {},
      )
    }

    /** After a long outage a handle has failed, and it is the application that asks again. */
    function retry(): void {
      for (const doc of docs.values()) doc.retry()
    }

    for (let number = 1; number <= count; number++) {
      const client = `c${number}`
      await world.client(client, {
        server,
        application: ({ client: opened, number: process }) => {
          const doc = opened.open(ID)
          docs.set(client, doc)
          const bound = binding.bind(doc, `${client}.${process}`)
          if (bound === undefined)
            throw new TypeError('bind: expected what write and read are to be called with, got undefined: return it')
          bounds.set(client, bound)
        },
      })
      for (let at = 1; at <= writes; at++)
        world.stepAfter((at * LASTS_MS) / (writes + 1), `${client} writes`, () => write(client, `${client}/${at}`))
    }
    trouble(world, LASTS_MS)
    await world.pass(LASTS_MS)
    await world.heal()
    retry()
    await world.pass(HEALS_MS)
    // What was still waited for as everything healed has failed by now.
    retry()
    await world.pass(HEALS_MS)
    // One after the other, now that nothing goes wrong: whoever still writes nothing has no bad luck to blame.
    for (const client of bounds.keys()) {
      world.step(`${client} writes`, () => write(client, `${client}/last`))
      await world.pass(WRITES_MS)
    }
    const shown = [...bounds].map(([client, bound]) => ({ client, texts: binding.read(bound) }))
    await world.judge()
    // A checker of its own: who shrinks what shows too little would else end with who writes nothing at all.
    if (attempts > 0 && written.size === 0) throw new Violation('written', 'nothing was ever written')
    compare(shown, written)
  }
}

function compare(
  shown: readonly { readonly client: string; readonly texts: readonly string[] }[],
  written: ReadonlySet<string>,
): void {
  const [first] = shown
  for (const { client, texts } of shown) {
    for (const text of written)
      if (!texts.includes(text)) throw new Violation('binding', `${client} does not show ${text}, which was written`)
    if (JSON.stringify(texts) !== JSON.stringify(first?.texts))
      throw new Violation('binding', `${first?.client} shows ${first?.texts}, and ${client} shows ${texts}`)
  }
}
