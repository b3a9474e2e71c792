/**
 * Session ids as small numbers: the same session writes many documents, so its id is stored once and referred to.
 *
 * What is remembered is bounded (L10), and one look-up that would push out all the rest is not remembered. Misses are looked up
 * together, one query for all of them. References are never reused, so what is remembered stays true.
 * Not here: giving a new session its reference, which is part of a commit (work.ts).
 */
import { Remembered, textOf } from '@tidemark/storage/adapter'
import type { SqliteStatement } from './driver.ts'

export interface NameQueries {
  /** Key and name of each key in a JSON array. */
  readonly namesOf: SqliteStatement
  /** Key and position of each name in a JSON array. */
  readonly keysOf: SqliteStatement
}

export class SessionNames {
  readonly #queries: NameQueries
  readonly #names: Remembered<number, string>
  readonly #keys: Remembered<string, number>
  readonly #sessionsMax: number

  constructor(queries: NameQueries, sessionsMax: number) {
    this.#queries = queries
    this.#sessionsMax = sessionsMax
    this.#names = new Remembered(sessionsMax >> 1)
    this.#keys = new Remembered(sessionsMax >> 1)
  }

  /** The name of a reference, if it is remembered. */
  name(key: number): string | undefined {
    return this.#names.get(key)
  }

  /** The names of all `keys`, remembered or looked up; a key that does not exist is not named. */
  names(keys: Iterable<number>): ReadonlyMap<number, string> {
    const found = new Map<number, string>()
    const unknown: number[] = []
    for (const key of keys) {
      const name = this.#names.get(key)
      if (name === undefined) unknown.push(key)
      else found.set(key, name)
    }
    if (unknown.length === 0) return found
    const isRemembered = unknown.length < this.#sessionsMax
    for (const [key, bytes] of this.#queries.namesOf.all(JSON.stringify(unknown))) {
      const name = textOf(bytes as Uint8Array)
      found.set(key as number, name)
      if (isRemembered) this.remember(name, key as number)
    }
    return found
  }

  /** The references of all `names`, remembered or looked up; a name that was never stored is not in the answer. */
  keys(names: Iterable<string>): Map<string, number> {
    const found = new Map<string, number>()
    const unknown: string[] = []
    for (const name of names) {
      const key = this.#keys.get(name)
      if (key === undefined) unknown.push(name)
      else found.set(name, key)
    }
    if (unknown.length === 0) return found
    for (const [key, index] of this.#queries.keysOf.all(JSON.stringify(unknown))) {
      const name = unknown[index as number] as string
      found.set(name, key as number)
      this.remember(name, key as number)
    }
    return found
  }

  /** Only once it is committed: a reference that was rolled back will be another session's. */
  remember(name: string, key: number): void {
    this.#names.set(key, name)
    this.#keys.set(name, key)
  }
}
