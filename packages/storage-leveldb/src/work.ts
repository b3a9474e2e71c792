/**
 * The work of one commit: everything needed is read, contents are judged and taken in order, then it is all one batch.
 *
 * Judging reads, taking changes memory, and only the batch changes the database: a content that cannot be judged, or a document
 * that cannot be written (it is damaged), fails for itself. A commit sees what is stored and nothing else changes it meanwhile.
 * L13: overlap is compared before it is sliced away; only the pieces that overlap are read.
 */
import {
  type Append,
  type AppendResult,
  type Marks,
  type Refused,
  type RefusedWhy,
  StorageError,
  type StoredState,
} from '@tidemark/storage'
import {
  DamagedBlob,
  EMPTY_DIGEST,
  judgeDocument,
  judgeRun,
  overlapOf,
  type RunVerdict,
} from '@tidemark/storage/adapter'
import { type Operation, put, remove } from './database.ts'
import { type Accepted, Draft } from './draft.ts'
import { damaged, storageError } from './errors.ts'
import { markKey, referenceKey, sessionKey } from './keys.ts'
import { readDrafts } from './read-drafts.ts'
import { type Numbers, type Store, sealed } from './store.ts'

type Run = Append['runs'][number]
type Failed = Extract<AppendResult, { failed: unknown }>
type Judged = Exclude<AppendResult, Failed>

/** What became of a content, before its document was written. */
interface Taken {
  readonly draft: Draft | undefined
  readonly result: AppendResult
}

const NOTHING_REFUSED: ReadonlyMap<string, Refused> = new Map()

export class Work {
  /** What this commit has numbered so far; the store's own once it is committed. */
  readonly #numbers: Numbers
  /** Sessions that are stored for the first time: by name, with their references. */
  readonly #newSessions = new Map<string, number>()
  readonly #store: Store
  readonly #taken: Taken[] = []
  #references: Map<string, number> = new Map()
  /** Documents that will be written, in the order of their last change: so they will stand among the changes. */
  readonly #changed = new Set<Draft>()
  /** The last of those. */
  #last: Draft | undefined
  /** By id; a failure where a document could not be read. */
  #drafts: Map<string, Draft | StorageError> = new Map()

  constructor(store: Store) {
    this.#store = store
    this.#numbers = { ...store.numbers }
  }

  async take(contents: readonly Append[]): Promise<void> {
    const { drafts, references } = await readDrafts(this.#store, contents)
    this.#drafts = drafts
    this.#references = references
    for (const content of contents) {
      const judging = this.#judge(content)
      this.#taken.push(judging instanceof Promise ? await judging : judging)
    }
  }

  /** The batch; documents that cannot be written are left out of it, and fail. */
  async operations(): Promise<Operation[]> {
    const operations: Operation[] = []
    for (const [name, reference] of this.#newSessions) {
      const { writer } = this.#store
      operations.push(put(sessionKey(name), writer.begin().varint(reference).keep()))
      operations.push(put(referenceKey(reference), writer.begin().text(name).keep()))
    }
    for (const draft of this.#changed) {
      try {
        const writing = draft.write(operations, this.#numbers)
        if (writing !== undefined) await writing
      } catch (cause) {
        draft.failure = cause
      }
    }
    return operations
  }

  /** What sets and removes marks. */
  marks(marks: Marks): Operation[] {
    return [...marks].map(([key, value]) =>
      value === undefined ? remove(markKey(key)) : put(markKey(key), sealed(this.#store, value)),
    )
  }

  /** After the batch was written: from now on the store goes by what this commit did. */
  committed(): void {
    const store = this.#store
    store.numbers = this.#numbers
    for (const [name, reference] of this.#newSessions) store.names.remember(name, reference)
    for (const draft of this.#changed) {
      const large = draft.failure === undefined ? draft.large() : undefined
      if (large !== undefined) store.large.set(draft.id, large)
    }
  }

  /** In the order in which contents were taken; to be asked after `operations`. */
  results(): AppendResult[] {
    return this.#taken.map(({ draft, result }) => {
      if (draft?.failure === undefined) return result
      return failed(draft.id, draft.failure)
    })
  }

  /** At once, unless what overlaps must be read. */
  #judge(content: Append): Taken | Promise<Taken> {
    const draft = this.#drafts.get(content.id)
    if (draft instanceof StorageError) return { draft: undefined, result: { failed: draft.code, cause: draft } }
    const held = draft && { kind: draft.row.kind, erased: draft.row.erased !== undefined, header: draft.header }
    const judged = judgeDocument(content, held, this.#store.limits.runBytesMax)
    if (judged.verdict === 'absent') return answerOf(draft, judged.refused)
    if (judged.verdict === 'covered') return answerOf(draft, NOTHING_REFUSED)
    if (judged.verdict === 'headerRefused') return answerOf(draft, NOTHING_REFUSED, judged.why)
    if (draft !== undefined && content.runs.some((run) => overlapping(run, content, draft)))
      return this.#judgeOverlapping(content, draft)
    return this.#takeRuns(content, draft, (run) => this.#judgeRun(content, draft, run))
  }

  async #judgeOverlapping(content: Append, draft: Draft): Promise<Taken> {
    try {
      const verdicts = new Map<Run, RunVerdict>()
      for (const run of content.runs) verdicts.set(run, await this.#judgeStored(content, draft, run))
      return this.#takeRuns(content, draft, (run) => verdicts.get(run) as RunVerdict)
    } catch (cause) {
      return { draft: undefined, result: failed(content.id, cause) }
    }
  }

  async #judgeStored(content: Append, draft: Draft, run: Run): Promise<RunVerdict> {
    const entry = draft.session(run.session)
    const range = entry && overlapOf(run, content.kind, entry.count)
    const overlap = entry && range && (await draft.overlap(run.session, range, run.digest !== undefined))
    return judgeRun(run, content.kind, entry ?? nothingHeld(content), this.#store.limits.runBytesMax, overlap)
  }

  #judgeRun(content: Append, draft: Draft | undefined, run: Run): RunVerdict {
    const held = draft?.session(run.session) ?? nothingHeld(content)
    return judgeRun(run, content.kind, held, this.#store.limits.runBytesMax)
  }

  #takeRuns(content: Append, held: Draft | undefined, judge: (run: Run) => RunVerdict): Taken {
    let refused: Map<string, Refused> | undefined
    const accepted: [session: string, run: Accepted][] = []
    for (const run of content.runs) {
      const verdict = judge(run)
      if (verdict.verdict === 'refuse') {
        refused ??= new Map()
        refused.set(run.session, verdict.refused)
      } else if (verdict.verdict === 'store') accepted.push([run.session, verdict])
    }
    // Nothing may fail from here on: a content is taken completely or not at all.
    const draft = held ?? this.#create(content)
    if (held === undefined || accepted.length > 0) this.#moveLast(draft)
    for (const [session, run] of accepted)
      draft.take(session, this.#reference(session), run, content.verifier?.get(session))
    return answerOf(draft, refused ?? NOTHING_REFUSED)
  }

  #moveLast(draft: Draft): void {
    // Most often it was the last already.
    if (draft === this.#last) return
    this.#changed.delete(draft)
    this.#changed.add(draft)
    this.#last = draft
  }

  #create({ id, kind, priority, header }: Append): Draft {
    const bytes = (header as Uint8Array).length
    const document = ++this.#numbers.document
    const row = { document, sequence: 0, kind, priority, bytes, erased: undefined, entries: [], chunks: [] }
    const paged = bytes > this.#store.limits.pageBytes
    const state: StoredState = { ...NOTHING_STORED, kind, priority, paged }
    const draft = new Draft(this.#store, id, { row, entries: [], names: [], state, header, isNew: true })
    this.#drafts.set(id, draft)
    return draft
  }

  #reference(name: string): number {
    const known = this.#references.get(name)
    if (known !== undefined) return known
    const reference = ++this.#numbers.session
    this.#references.set(name, reference)
    this.#newSessions.set(name, reference)
    return reference
  }
}

function answerOf(draft: Draft | undefined, refused: Judged['refused'], headerRefused?: RefusedWhy): Taken {
  const result: Judged = draft === undefined ? { state: undefined, refused } : draft.answer(refused)
  return { draft, result: headerRefused === undefined ? result : { ...result, headerRefused } }
}

function overlapping(run: Run, { kind }: Append, draft: Draft): boolean {
  const entry = draft.session(run.session)
  return entry !== undefined && overlapOf(run, kind, entry.count) !== undefined
}

function nothingHeld({ kind }: Append) {
  return { count: 0, digest: kind === 'bytes' ? EMPTY_DIGEST : undefined }
}

const NONE: ReadonlyMap<string, never> = new Map<string, never>()
const NOTHING_STORED = {
  known: { header: true, sessions: NONE },
  digests: NONE,
  lastRuns: NONE,
  erased: undefined,
}

export function failed(id: string, cause: unknown): Failed {
  const error =
    cause instanceof DamagedBlob ? damaged(id, cause) : storageError(cause, `storing document ${JSON.stringify(id)}`)
  return { failed: error.code, cause: error }
}
