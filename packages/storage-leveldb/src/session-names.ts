/**
 * Session ids as small numbers: the same session writes many documents, so its id is stored once and referred to.
 *
 * What is remembered is bounded (L10); misses are looked up together. References are never reused, so what is remembered stays
 * true. Not here: giving a new session its reference, which is part of a commit (work.ts).
 */
import { BlobReader, DamagedBlob, Remembered } from '@tidemark/storage/adapter'
import type { Database } from './database.ts'
import { referenceKey, sessionKey } from './keys.ts'

export class SessionNames {
  readonly #database: Database
  readonly #names: Remembered<number, string>
  readonly #references: Remembered<string, number>

  constructor(database: Database, sessionsRememberedMax: number) {
    this.#database = database
    this.#names = new Remembered(sessionsRememberedMax >> 1)
    this.#references = new Remembered(sessionsRememberedMax >> 1)
  }

  /** The name of a reference, if it is remembered. */
  name(reference: number): string | undefined {
    return this.#names.get(reference)
  }

  /** The names of `references`, in their order, if all of them are remembered. */
  remembered(references: readonly number[]): readonly string[] | undefined {
    const found: string[] = []
    for (const reference of references) {
      const name = this.#names.get(reference)
      if (name === undefined) return undefined
      found.push(name)
    }
    return found
  }

  /**
   * The names of `references`, in their order, remembered or looked up.
   *
   * @throws DamagedBlob also if one does not exist: who names it is damaged.
   */
  async names(references: readonly number[]): Promise<readonly string[]> {
    const found = references.map((reference) => this.#names.get(reference))
    const unknown = [...found.keys()].filter((index) => found[index] === undefined)
    const values = await this.#database.getMany(unknown.map((index) => referenceKey(references[index] as number)))
    for (const [at, value] of values.entries()) {
      const index = unknown[at] as number
      if (value === undefined) throw new DamagedBlob('it names a session that is not stored')
      const name = new BlobReader(value).text()
      found[index] = name
      this.remember(name, references[index] as number)
    }
    return found as string[]
  }

  /** The references of all `names`, remembered or looked up; a name that was never stored is not in the answer. */
  async references(names: Iterable<string>): Promise<Map<string, number>> {
    const found = new Map<string, number>()
    const unknown: string[] = []
    for (const name of names) {
      const reference = this.#references.get(name)
      if (reference === undefined) unknown.push(name)
      else found.set(name, reference)
    }
    const values = await this.#database.getMany(unknown.map(sessionKey))
    for (const [index, value] of values.entries()) {
      if (value === undefined) continue
      const name = unknown[index] as string
      const reference = new BlobReader(value).varint()
      found.set(name, reference)
      this.remember(name, reference)
    }
    return found
  }

  /** Only once it is committed: a reference that was not stored will be another session's. */
  remember(name: string, reference: number): void {
    this.#names.set(reference, name)
    this.#references.set(name, reference)
  }

  forget(): void {
    this.#names.clear()
    this.#references.clear()
  }
}
