/**
 * The work of one commit: everything is read, contents are judged and taken in order, then everything is written.
 *
 * All of it within one transaction over all object stores, so whatever another tab did before it is seen, and nothing it does
 * comes between.
 * L13: overlap is compared before it is sliced away; only what overlaps is read.
 */
import { type Append, type AppendResult, type Marks, type Refused, StorageError } from '@tidemark/storage'
import { type BlobWriter, judgeDocument, judgeRun } from '@tidemark/storage/adapter'
import { type Accepted, Draft } from './draft.ts'
import { namingLater } from './errors.ts'
import { type GatheredDocuments, gather } from './gather.ts'
import { textKey } from './keys.ts'
import { type Numbers, readNumbers, writeNumbers } from './numbers.ts'
import type { Tools } from './tools.ts'
import type { Reach } from './transaction.ts'

export interface Limits {
  readonly pageBytes: number
  readonly runBytesMax: number
}

/** What is to be stored together, and its marks: the batch of one caller. */
export interface Call {
  readonly batch: readonly Append[]
  readonly marks: Marks | undefined
}

type Failed = Extract<AppendResult, { failed: unknown }>

const NOTHING_REFUSED: ReadonlyMap<string, Refused> = new Map()

export interface Stored {
  /** By call. */
  readonly results: readonly AppendResult[][]
  /** To be called when the transaction is complete. */
  readonly completed: () => void
}

/** Stores the contents of `calls`, in order; nothing of it is true before the `complete` of the transaction. */
export async function store(reach: Reach, tools: Tools, calls: readonly Call[], limits: Limits): Promise<Stored> {
  const contents = calls.flatMap(({ batch }) => batch)
  const [documents, numbers] = await Promise.all([gather(reach, tools, contents), readNumbers(reach)])
  const work = new Work(documents, numbers, limits)
  const results = calls.map(({ batch }) => batch.map((content) => work.take(content)))
  await work.write(reach, tools.writer, numbers)
  const told = results.map((some, at) => some.map((result, index) => work.failureOf(calls[at]?.batch[index]) ?? result))
  for (const [index, { marks }] of calls.entries())
    if (marks !== undefined && !told[index]?.some((result) => 'failed' in result)) writeMarks(reach, marks)
  return { results: told, completed: () => work.keepLarge(tools) }
}

class Work {
  readonly #limits: Limits
  readonly #gathered: GatheredDocuments
  readonly #drafts = new Map<string, Draft>()
  /** Documents that turned out to be damaged when they were to be written. */
  readonly #failed = new Map<string, Failed>()
  #documents: number

  constructor(gathered: GatheredDocuments, { documents }: Numbers, limits: Limits) {
    this.#gathered = gathered
    this.#documents = documents
    this.#limits = limits
  }

  take(content: Append): AppendResult {
    const gathered = this.#gathered.get(content.id)
    if (gathered instanceof StorageError) return { failed: gathered.code, cause: gathered }
    let draft = this.#drafts.get(content.id)
    if (draft === undefined && gathered !== undefined) {
      draft = Draft.of(content.id, gathered, this.#limits.pageBytes)
      this.#drafts.set(content.id, draft)
    }
    return this.#judge(content, draft)
  }

  failureOf(content: Append | undefined): Failed | undefined {
    return content && this.#failed.get(content.id)
  }

  /** Documents in the order in which they were first touched; a damaged one is left as it is. */
  async write(reach: Reach, writer: BlobWriter, numbers: Numbers): Promise<void> {
    const changed = [...this.#drafts.values()].filter((draft) => draft.changed)
    await Promise.all(changed.map((draft) => this.#prepare(reach, writer, draft)))
    let { sequence } = numbers
    for (const draft of changed) if (!this.#failed.has(draft.id)) draft.write(reach, writer, ++sequence)
    if (sequence > numbers.sequence) writeNumbers(reach, { documents: this.#documents, sequence })
  }

  keepLarge({ large }: Tools): void {
    for (const draft of this.#drafts.values())
      if (draft.row.chunked && !this.#failed.has(draft.id)) large.keep(draft.id, draft.large())
  }

  async #prepare(reach: Reach, writer: BlobWriter, draft: Draft): Promise<void> {
    try {
      await namingLater(draft.id, () => draft.prepare(reach, writer))
    } catch (cause) {
      if (!(cause instanceof StorageError)) throw cause
      this.#failed.set(draft.id, { failed: cause.code, cause })
    }
  }

  #judge(content: Append, draft: Draft | undefined): AppendResult {
    const held = draft && { kind: draft.row.kind, erased: draft.row.erased !== undefined, header: draft.header }
    const judged = judgeDocument(content, held, this.#limits.runBytesMax)
    if (judged.verdict === 'absent') return { state: undefined, refused: judged.refused }
    if (judged.verdict === 'create' || judged.verdict === 'extend') return this.#takeRuns(content, draft)
    const answer = draft?.answer(NOTHING_REFUSED) ?? { state: undefined, refused: NOTHING_REFUSED }
    return judged.verdict === 'headerRefused' ? { ...answer, headerRefused: judged.why } : answer
  }

  #takeRuns(content: Append, held: Draft | undefined): AppendResult {
    const draft = held ?? this.#create(content)
    const refused = new Map<string, Refused>()
    const accepted: [session: string, run: Accepted][] = []
    for (const run of content.runs) {
      const verdict = judgeRun(run, content.kind, draft.held(run.session), this.#limits.runBytesMax, draft.overlap(run))
      if (verdict.verdict === 'refuse') refused.set(run.session, verdict.refused)
      else if (verdict.verdict === 'store') accepted.push([run.session, verdict])
    }
    for (const [session, run] of accepted) draft.take(session, run, content.verifier?.get(session))
    return draft.answer(refused)
  }

  #create(content: Append): Draft {
    const { pageBytes } = this.#limits
    const draft = Draft.create(content, content.header as Uint8Array, this.#documents++, pageBytes)
    this.#drafts.set(content.id, draft)
    return draft
  }
}

function writeMarks(reach: Reach, marks: Marks): void {
  for (const [key, value] of marks) {
    if (value === undefined) reach('marks').delete(textKey(key))
    // The value may be a view of something large, all of which would be stored.
    else reach('marks').put(value.slice(), textKey(key))
  }
}
