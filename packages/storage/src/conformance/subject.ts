/**
 * What the kit tests, and how a case is run: without a runner, on a fresh store, skipped only aloud.
 */
import type { Awaitable, Capabilities, Opened, Storage } from '../contract.ts'
import { PAGE_BYTES, RUN_BYTES_MAX } from '../contract.ts'

/**
 * A fresh, empty store and what else can be done with its data. Everything but `storage` is optional; a case that needs what
 * is not there is skipped and says so. Storages are given unopened: the kit opens and closes them.
 */
export interface Subject {
  readonly storage: Storage
  /** Another handle on the same data, after the last one was closed. */
  reopen?(): Awaitable<Storage>
  /**
   * Another handle on the same data as a killed process leaves them: the last handle was not closed (and is not touched again),
   * its locks are gone.
   */
  kill?(): Awaitable<Storage>
  /**
   * Another handle on the same data as a machine leaves them that lost power: as after `kill`, and the last write reached the disk
   * in part or not at all.
   */
  loseTail?(): Awaitable<Storage>
  /** Another handle on the same data while `storage` is open, as a second process would make it. */
  second?(): Awaitable<Storage>
  /** A handle on the same data that may not write, after the last one was closed. */
  readOnly?(): Awaitable<Storage>
  /** Makes the next read from or write to the disk below the last handle fail: `QUOTA` as a full disk, `IO` as a broken one. */
  failNext?(access: 'read' | 'write', code: 'IO' | 'QUOTA'): Awaitable<void>
  /** Removes the data; called when all handles are closed. */
  destroy?(): Awaitable<void>
  /** If the store was made with others than the defaults. */
  readonly pageBytes?: number
  readonly runBytesMax?: number
}

/** Makes a fresh, empty store each time; a storage alone will do where its data do not outlive it. */
export type MakeStorage = () => Awaitable<Storage | Subject>

/** What a case cannot do without: a capability that the store states, or something of its subject. */
export type Need = keyof Capabilities | 'reopen' | 'kill' | 'loseTail' | 'second' | 'readOnly' | 'failNext'

export type Outcome = 'passed' | `skipped: needs ${Need}`

export interface StorageCase {
  /** A sentence, unique in the kit; starts with its group. */
  readonly name: string
  readonly group: string
  readonly needs: readonly Need[]
  /** Resolves when it passed or was skipped; rejects with an `Error` that says what was expected and what came. */
  run(make: MakeStorage): Promise<Outcome>
}

export interface Handle {
  readonly storage: Storage
  readonly opened: Opened
}

/** What a case is given: an open, empty store. */
export interface Given extends Handle {
  readonly subject: Subject
  readonly pageBytes: number
  readonly runBytesMax: number
  /** Another, empty and open store of the same make. */
  another(): Promise<Storage>
  /** Another storage of the same make, not opened. */
  unopened(): Promise<Storage>
  /** Opens a further handle on the data (of `reopen`, `kill`, …), and sees to it that it is closed. */
  open(storage: Awaitable<Storage> | undefined): Promise<Handle>
  /** Closes the handle in use and opens the data again. */
  reopened(from?: Handle): Promise<Handle>
}

export type Body = (given: Given) => Promise<void>

export interface Scenario {
  readonly title: string
  readonly needs: readonly Need[]
  readonly body: Body
}

export function scenario(title: string, body: Body): Scenario
export function scenario(title: string, needs: readonly Need[], body: Body): Scenario
export function scenario(title: string, needs: readonly Need[] | Body, body?: Body): Scenario {
  if (typeof needs === 'function') return { title, needs: [], body: needs }
  return { title, needs, body: body as Body }
}

export function group(name: string, scenarios: readonly Scenario[]): readonly StorageCase[] {
  return scenarios.map(({ title, needs, body }) => ({
    name: `${name}: ${title}`,
    group: name,
    needs,
    run: (make) => runCase(make, needs, body),
  }))
}

async function runCase(make: MakeStorage, needs: readonly Need[], body: Body): Promise<Outcome> {
  const open: Storage[] = []
  const subjects: Subject[] = []
  let outcome: Outcome = 'passed'
  const fresh = async () => {
    const made = await make()
    const subject = 'storage' in made ? made : { storage: made }
    subjects.push(subject)
    open.push(subject.storage)
    return subject
  }
  try {
    const subject = await fresh()
    const opened = await subject.storage.open()
    const lacking = needs.find((need) => !has(need, subject, opened))
    if (lacking !== undefined) outcome = `skipped: needs ${lacking}`
    else await body(givenOf(subject, opened, fresh, open))
  } catch (cause) {
    // What went wrong first is what is to be told, not what closing says about it.
    await cleanUp(open, subjects).catch(() => {})
    throw cause
  }
  await cleanUp(open, subjects)
  return outcome
}

function givenOf(subject: Subject, opened: Opened, fresh: () => Promise<Subject>, open: Storage[]): Given {
  const handle = async (made: Awaitable<Storage> | undefined): Promise<Handle> => {
    const storage = await made
    if (storage === undefined) throw new TypeError('this subject has no such handle')
    open.push(storage)
    return { storage, opened: await storage.open() }
  }
  return {
    storage: subject.storage,
    opened,
    subject,
    pageBytes: subject.pageBytes ?? PAGE_BYTES,
    runBytesMax: subject.runBytesMax ?? RUN_BYTES_MAX,
    unopened: async () => (await fresh()).storage,
    async another() {
      const { storage } = await fresh()
      await storage.open()
      return storage
    },
    open: handle,
    async reopened(from) {
      await (from?.storage ?? subject.storage).close()
      return handle(subject.reopen?.())
    },
  }
}

function has(need: Need, subject: Subject, opened: Opened): boolean {
  if (need === 'list' || need === 'changes' || need === 'maps' || need === 'erase') return opened.capabilities[need]
  return subject[need] !== undefined
}

async function cleanUp(open: readonly Storage[], subjects: readonly Subject[]): Promise<void> {
  for (const storage of open) await storage.close()
  for (const subject of subjects) await subject.destroy?.()
}
