/**
 * What the tests of reconnecting stand on: documents of a few transactions, and storages that count, wait and fail.
 */
import { type KnownState, knownState } from '@tidemark/known-state'
import { type Append, memoryStorage, type Storage } from '@tidemark/storage'

const utf8 = new TextEncoder()

/** `state(3)`: the header and so many transactions of session `a`. */
export const state = (count: number): KnownState => knownState(true, count === 0 ? [] : [['a', count]])

/** A document of `count` transactions; its header names what it depends on. */
export function document(id: string, count = 1, dependencies: readonly string[] = []): Append {
  const transactions = Array.from({ length: count }, (_, index) => utf8.encode(`${index}`))
  return {
    id,
    kind: 'json',
    priority: 3,
    header: utf8.encode(JSON.stringify(dependencies)),
    runs: count === 0 ? [] : [{ session: 'a', after: 0, transactions }],
  }
}

/** What `document` wrote into a header. */
export const dependenciesOf = (header: Uint8Array | undefined): readonly string[] =>
  header === undefined ? [] : JSON.parse(new TextDecoder().decode(header))

export interface Spied {
  readonly storage: Storage
  /** Of every call its name and what it was asked for. */
  readonly calls: (readonly [method: string, asked: unknown])[]
  /** Takes the place of methods; what it replaces is in `real`. */
  replace: Partial<Storage>
  readonly real: Storage
}

export function spied(...documents: readonly Append[]): Spied {
  const real = memoryStorage()
  real.open()
  real.append(documents)
  const calls: (readonly [string, unknown])[] = []
  const spy: { replace: Partial<Storage> } = { replace: {} }
  const storage: Storage = new Proxy(real, {
    get(target, name: keyof Storage) {
      return (...args: unknown[]) => {
        calls.push([name, args[0]])
        const method = (spy.replace[name] ?? target[name]) as (...args: unknown[]) => unknown
        return method.apply(target, args)
      }
    },
  })
  return Object.assign(spy, { storage, calls, real })
}

/** How often a method was called. */
export const times = ({ calls }: Spied, method: keyof Storage): number =>
  calls.filter(([name]) => name === method).length

/** A promise to be resolved by hand. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open: () => open() }
}

declare function setImmediate(callback: () => void): unknown

export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Everything that waits for nothing has happened. */
export async function rest(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await nextTurn()
}

/** Chance that repeats itself: at least 0, less than 1. */
export function generator(seed: number): () => number {
  let current = seed
  return () => {
    current = (Math.imul(current, 1_664_525) + 1_013_904_223) >>> 0
    return current / 2 ** 32
  }
}
