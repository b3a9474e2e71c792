/**
 * What a document must read back as, and every rule of a page, checked on every page that a case reads.
 */
import { EMPTY, type KnownState } from '@tidemark/known-state'
import { contentWeight, type Run } from '@tidemark/protocol'
import type { Append, Page, Storage } from '../contract.ts'
import { EMPTY_DIGEST, extendDigest } from '../digest.ts'
import { compareIds } from '../ids.ts'
import { holds, same } from './assert.ts'

interface Part {
  readonly after: number
  readonly until: number
  readonly seal: Uint8Array | undefined
}

interface SessionModel {
  readonly transactions: Uint8Array[]
  /** As they were appended: these are the places where a run may end. */
  readonly parts: Part[]
}

export interface DocumentModel {
  readonly first: Append
  readonly sessions: ReadonlyMap<string, SessionModel>
}

/** One document as it is after `contents`, of which everything was accepted (what overlaps is left out). */
export function modelOf(contents: readonly Append[]): DocumentModel {
  const [first] = contents
  holds(first?.header !== undefined, 'a model to begin with a header')
  const sessions = new Map<string, SessionModel>()
  for (const content of contents) for (const run of content.runs) grow(sessions, run)
  return { first, sessions }
}

export function knownOf(model: DocumentModel): KnownState {
  const sessions = new Map<string, number>()
  for (const [session, { transactions }] of model.sessions) sessions.set(session, transactions.length)
  return { header: true, sessions }
}

export function digestsOf(model: DocumentModel): ReadonlyMap<string, string> {
  const digests = new Map<string, string>()
  if (model.first.kind === 'bytes')
    for (const [session, { transactions }] of model.sessions)
      digests.set(session, extendDigest(EMPTY_DIGEST, transactions))
  return digests
}

/** Reads a document page by page, for each of `sizes`, and compares it with what was appended; answers the pages of each walk. */
export async function readsBack(
  storage: Storage,
  contents: readonly Append[],
  sizes: readonly number[] = [0, 50, 1000, 1_000_000],
  after: KnownState = EMPTY,
): Promise<readonly (readonly Page[])[]> {
  const model = modelOf(contents)
  const [state] = await storage.knownStates([model.first.id])
  holds(state !== undefined, `${model.first.id} to be stored`)
  same(state.known, knownOf(model), `known state of ${model.first.id}`)
  same(state.digests, digestsOf(model), `digests of ${model.first.id}`)
  const walks: (readonly Page[])[] = []
  for (const bytesMax of sizes) walks.push(await walk(storage, model, bytesMax, after))
  return walks
}

async function walk(
  storage: Storage,
  model: DocumentModel,
  bytesMax: number,
  start: KnownState,
): Promise<readonly Page[]> {
  const pages: Page[] = []
  for (let after = start; ; ) {
    const page = await storage.read(model.first.id, after, { bytesMax })
    holds(page !== undefined, `a page of ${model.first.id}, which is stored`)
    checkPage(page, after, bytesMax, model)
    pages.push(page)
    if (!page.more) return pages
    holds(page.runs.length > 0 || page.header !== undefined, 'a page that says there is more to bring something')
    after = page.end
  }
}

/** Every rule that holds for one page of a document that is known completely. */
export function checkPage(page: Page, after: KnownState, bytesMax: number, model: DocumentModel): void {
  const { first } = model
  same([page.id, page.kind, page.priority], [first.id, first.kind, first.priority], 'id, kind and priority of a page')
  same(page.header, after.header ? undefined : first.header, 'header of a page')
  const end = new Map(after.sessions)
  let previous: string | undefined
  for (const run of page.runs) {
    holds(previous === undefined || compareIds(previous, run.session) < 0, 'sessions of a page in bytewise order')
    previous = run.session
    checkRun(run, after, model)
    end.set(run.session, run.after + run.transactions.length)
  }
  same(page.end.header, true, 'header at the end of a page')
  sameCounts(page.end.sessions, end, 'end of a page')
  same(page.more, lacks(end, model), `more after a page that ends at ${[...end].join(' ')}`)
  checkSize(page, bytesMax, model)
}

function checkRun(run: Run, after: KnownState, model: DocumentModel): void {
  const what = `session ${JSON.stringify(run.session)}`
  const held = model.sessions.get(run.session)
  holds(held !== undefined, `${what} not to be read: it was never appended`)
  same(run.after, after.sessions.get(run.session) ?? 0, `${what}: where its run begins`)
  const until = run.after + run.transactions.length
  holds(run.transactions.length > 0, `${what} to be left out where nothing of it is on the page`)
  same(run.transactions, held.transactions.slice(run.after, until), `${what}: transactions ${run.after} to ${until}`)
  const digest =
    model.first.kind === 'bytes' ? extendDigest(EMPTY_DIGEST, held.transactions.slice(0, run.after)) : undefined
  same(run.digest, digest, `${what}: digest at ${run.after}`)
  const last = held.parts.find((part) => part.after < until && until <= part.until)
  const sealed = last?.seal !== undefined
  holds(
    !sealed || until === last.until,
    `${what}: its run to end at a seal, got an end at ${until} inside a sealed run`,
  )
  same(run.seal, last?.seal, `${what}: seal at ${until}`)
  const passed = held.parts.some((part) => part.seal !== undefined && part.until > run.after && part.until < until)
  holds(sealed || !passed, `${what}: no run to go on beyond a seal with what is not sealed (${run.after} to ${until})`)
}

function checkSize(page: Page, bytesMax: number, model: DocumentModel): void {
  const size = contentWeight(page)
  if (size <= bytesMax || page.runs.length === 0) return
  const [run] = page.runs as [Run]
  const until = run.after + run.transactions.length
  const part = model.sessions.get(run.session)?.parts.find((candidate) => candidate.until > run.after)
  const unit = run.transactions.length === 1 || (part?.seal !== undefined && part.until === until)
  holds(
    page.runs.length === 1 && unit,
    `a page that weighs ${size} where ${bytesMax} were asked for to be one transaction or the rest of one sealed run`,
  )
}

function grow(sessions: Map<string, SessionModel>, run: Run): void {
  const session = sessions.get(run.session) ?? { transactions: [], parts: [] }
  const count = session.transactions.length
  const fresh = run.transactions.slice(count - run.after)
  if (fresh.length === 0) return
  sessions.set(run.session, session)
  session.transactions.push(...fresh)
  session.parts.push({ after: count, until: count + fresh.length, seal: run.seal })
}

function lacks(end: ReadonlyMap<string, number>, model: DocumentModel): boolean {
  for (const [session, { transactions }] of model.sessions)
    if ((end.get(session) ?? 0) < transactions.length) return true
  return false
}

function sameCounts(actual: ReadonlyMap<string, number>, expected: ReadonlyMap<string, number>, what: string): void {
  const counted = (counts: ReadonlyMap<string, number>) => new Map([...counts].filter(([, count]) => count > 0))
  same(counted(actual), counted(expected), what)
}
