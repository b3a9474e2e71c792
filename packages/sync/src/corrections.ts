/**
 * Corrections: "what you assumed of me is wrong, this is exactly what I hold".
 *
 * L5: one correction per gap, document and connection, repeated after a while if the gap is still open. L3: a correction is
 * also an acknowledgement, so it waits until what was accepted is durable. A refusal by the storage is corrected once, after a
 * back-off that grows: otherwise a full disk and an eager peer would resend for ever.
 * Not here: finding gaps (`on-content.ts`), continuity in storage.
 */
import { covers, EMPTY, type KnownState, union } from '@tidemark/known-state'
import type { Content, ErrorCode } from '@tidemark/protocol'
import type { StorageErrorCode } from '@tidemark/storage'
import { allowed } from './checks.ts'
import { tellable, told } from './claims.ts'
import { type Connection, type Core, type Holding, IN_STEP, type Request, report, send, type View } from './core.ts'
import { sendRest } from './forward.ts'
import { durable, guard } from './holdings.ts'
import { enter, waitsForAppends } from './lanes.ts'
import { endIfUnwanted } from './on-done.ts'
import { type Refusal, refuseContent } from './refusals.ts'
import { endOf } from './senders.ts'
import { createView, lower, roomFor, subscribe, subscribersOf, viewOf, weigh } from './views.ts'
import { askLater } from './window.ts'

/** Gaps remembered per document and connection: peers make up session names. */
const GAPS_MAX = 1_000

/** Stands for the header among sessions. */
export const HEADER = ''

/** A content left out what we lack: `gaps` names what is held of each session that has one. */
export function correctGaps(
  core: Core,
  connection: Connection,
  holding: Holding,
  view: View,
  gaps: ReadonlyMap<string, number>,
  owed = false,
): void {
  if (view.refused) return
  const open = refuseUnstorable(core, connection, holding, view, gaps)
  const fresh = [...open].filter(([session, have]) => !isCorrected(core, view, session, have))
  for (const [session] of open) repeatLater(core, connection, holding.id, view, session, owed)
  if (fresh.length === 0) return
  view.gaps ??= new Map()
  const most = gapsMax(core, connection, holding)
  for (const [session, have] of fresh) if (view.gaps.size < most) view.gaps.set(session, have)
  if (holding.pendings.size === 0) sendCorrection(core, connection, holding, view)
}

/**
 * Content that left no gap was cut off, as the storage refused what it relied on: `ends` is where it ended. If its sender was corrected just
 * before it is told later, also where others brought the same meanwhile.
 */
export function correctCut(
  core: Core,
  connection: Connection,
  holding: Holding,
  view: View,
  ends: KnownState,
  gaps: ReadonlyMap<string, number>,
): void {
  // The correction that is still to come says this, too.
  if (view.refused) noteLost(core, connection, holding.id, view, ends)
  else correctGaps(core, connection, holding, view, gaps, true)
}

/** Of what is acknowledged its sender is owed no correction. */
export function settleCut({ corrected }: View, { sessions }: KnownState): void {
  if (corrected === undefined) return
  for (const session of sessions.keys()) {
    const one = corrected.get(session)
    if (one !== undefined) one.owed = false
  }
}

/** What continues something too large for the storage leaves a gap that no correction closes: its sender would send the same again, for ever. */
function refuseUnstorable(
  core: Core,
  connection: Connection,
  holding: Holding,
  { unstorable }: View,
  gaps: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> {
  if (unstorable === undefined) return gaps
  const open = unstorable.has(HEADER) ? [] : [...gaps].filter(([session]) => !unstorable.has(session))
  if (open.length < gaps.size)
    refuseContent(core, connection, holding.id, {
      code: 'tooLarge',
      message: 'it continues what is too large to be stored',
    })
  return new Map(open)
}

/** Sends the corrections that waited for appends, once nothing of the document is on its way. */
export function settleGaps(core: Core, holding: Holding): void {
  if (holding.pendings.size > 0) return
  for (const connection of subscribersOf(core, holding.id)) {
    const view = connection.views.get(holding.id)
    if (view !== undefined && view !== IN_STEP && view.gaps !== undefined)
      sendCorrection(core, connection, holding, view)
  }
}

function sendCorrection(core: Core, connection: Connection, holding: Holding, view: View): void {
  // L2: a layer of the storage did not answer, so there may be no gap. The storage says when it is known (`on-changed.ts`).
  if (holding.stored?.partial === true) {
    view.gaps ??= new Map()
    return
  }
  noteCorrected(core, connection, holding, view, view.gaps ?? [])
  view.gaps = undefined
  report(core, { kind: 'corrected', connection: connection.id, id: holding.id })
  send(core, connection, {
    action: 'known',
    id: holding.id,
    ...told(connection, holding, tellable(connection, holding)),
    correction: true,
  })
}

function gapsMax(core: Core, connection: Connection, { id }: Holding): number {
  weigh(connection, id)
  return Math.max(1, Math.min(GAPS_MAX, roomFor(core, connection)))
}

function isCorrected(core: Core, view: View, session: string, have: number): boolean {
  const corrected = view.corrected?.get(session)
  return corrected?.have === have && core.now - corrected.at < core.limits.correctionRepeatMs
}

/** A correction says all that we hold, so a few of the gaps stand for all of them. */
export function noteCorrected(
  core: Core,
  connection: Connection,
  holding: Holding,
  view: View,
  gaps: Iterable<readonly [session: string, have: number]>,
): void {
  const most = gapsMax(core, connection, holding)
  if (view.corrected === undefined || view.corrected.size >= most) view.corrected = new Map()
  for (const [session, have] of gaps) {
    if (view.corrected.size >= most) return
    view.corrected.set(session, { have, at: core.now, repeats: false, owed: false })
  }
}

/** A gap that is open again before its correction may be repeated is looked at when it may. */
function repeatLater(core: Core, connection: Connection, id: string, view: View, session: string, owed: boolean): void {
  const corrected = view.corrected?.get(session)
  const at = (corrected?.at ?? 0) + core.limits.correctionRepeatMs
  if (corrected === undefined || at <= core.now) return
  corrected.owed ||= owed
  if (corrected.repeats) return
  corrected.repeats = true
  core.deadlines.add(at, () => {
    if (connection.views.get(id) === view && view.corrected?.get(session) === corrected)
      enter(core, connection, id, { action: 'repeat', session, have: corrected.have })
  })
}

export function onRepeat(core: Core, request: Request, session: string, have: number): void {
  const { connection, id } = request
  const holding = guard(core, request)
  const view = connection.views.get(id)
  if (holding === undefined || view === undefined || view === IN_STEP) return
  const now = durable(holding).sessions.get(session) ?? 0
  const gaps = new Map([[session, now]])
  const corrected = view.corrected?.get(session)
  if (corrected?.owed !== true) {
    if (now === have) correctGaps(core, connection, holding, view, gaps)
    return
  }
  corrected.owed = false
  // How far it went is not remembered: at least one further.
  correctCut(core, connection, holding, view, { header: false, sessions: new Map([[session, have + 1]]) }, gaps)
  sendRest(core, connection, holding)
}

/** The storage did not take what a peer sent: says so where that can be said, and corrects after a back-off. */
export function refusedByStorage(
  core: Core,
  connection: Connection,
  id: string,
  ends: KnownState,
  readable: boolean,
  code: StorageErrorCode | undefined,
): void {
  const waitMs = correctLater(core, connection, id, ends, readable)
  if (!connection.traits.errors) return
  const retryAfterMs = Math.ceil(waitMs)
  refuseContent(core, connection, id, { code: errorCodeOf(code), message: refusedText(code), retryAfterMs })
}

/** What a peer sent could not be judged, which says nothing against it (L2): its sender still has it, as after a refusal by the storage. */
export function refusedUnjudged(
  core: Core,
  request: Request,
  content: Content,
  refusal: Pick<Refusal, 'code' | 'message'>,
): void {
  const { connection, id } = request
  const readable = allowed(core, request, 'read') === true
  const retryAfterMs = Math.ceil(correctLater(core, connection, id, endOf(content), readable))
  refuseContent(core, connection, id, { ...refusal, retryAfterMs })
  // It may have been the answer to a LOAD of ours: what this upstream holds is still not known.
  if (connection.traits.upstream) askLater(core, connection, id, core.limits.askAgainMs)
}

/** Corrects once after a back-off; answers how long that is. */
function correctLater(core: Core, connection: Connection, id: string, ends: KnownState, readable: boolean): number {
  const belief = connection.views.get(id) ?? pushed(core, connection, id, ends, readable)
  const view = belief === IN_STEP ? undefined : belief
  const waitMs = backoff(core, view?.refusals ?? 0)
  // The application is told by the error and decides for itself.
  if (belief === undefined || connection.traits.local) return waitMs
  if (view !== undefined) {
    noteLost(core, connection, id, view, ends)
    if (view.refused) return waitMs
    view.refused = true
    view.refusals += 1
  }
  core.deadlines.add(core.now + waitMs, () => {
    const now = connection.views.get(id)
    // What was in step is a view by now if anything was stored meanwhile, and is owed the correction all the same.
    if (now === undefined || (view !== undefined && (now !== view || !view.refused))) return
    if (view !== undefined) {
      view.refused = false
      view.lost = undefined
    }
    enter(core, connection, id, { action: 'correct' })
  })
  return waitMs
}

/**
 * L10: what is too much to be remembered is forgotten, also as what the peer holds: then only the back-off ends its refusal, and it may
 * be sent what it has.
 */
function noteLost(core: Core, connection: Connection, id: string, view: View, ends: KnownState): void {
  if (view.lost !== 'much') view.lost = union(view.lost ?? EMPTY, ends)
  weigh(connection, id)
  if (roomFor(core, connection) > 0) return
  const holding = core.holdings.get(id)
  const stored = holding === undefined ? EMPTY : durable(holding)
  view.lost = 'much'
  view.confirmed = lower(view.confirmed, stored)
  if (view.assumed !== undefined) view.assumed = lower(view.assumed, stored)
  weigh(connection, id)
}

/** What nobody here wants, and its sender pushed with what depends on it, it believes us to hold: it is to be corrected, too. */
function pushed(core: Core, connection: Connection, id: string, ends: KnownState, readable: boolean): View | undefined {
  if (connection.traits.local || !core.connections.has(connection.id)) return undefined
  return subscribe(core, connection, id, createView(ends, ends, readable))
}

/**
 * Content of this peer became durable: if that is all that was refused, the store takes it again. Answers what was refused and is there now,
 * which somebody else may have brought, and more of the same: no correction says it any more.
 */
export function clearRefusal(view: View, stored: KnownState): KnownState {
  const { lost = EMPTY } = view
  if (lost === 'much' || !covers(stored, lost)) return EMPTY
  view.lost = undefined
  view.refused = false
  view.refusals = 0
  const sessions = new Map([...lost.sessions.keys()].map((session) => [session, stored.sessions.get(session) ?? 0]))
  return { header: lost.header, sessions }
}

export function onCorrect(core: Core, request: Request): void {
  const { connection, id } = request
  const holding = guard(core, request)
  if (holding === undefined || waitsForAppends(core, holding, request)) return
  const view = viewOf(connection, id, durable(holding))
  if (view === undefined) return
  sendCorrection(core, connection, holding, view)
  // It may have been in step but for this, and nobody may want it any more.
  sendRest(core, connection, holding)
  endIfUnwanted(core, connection, id)
}

/** 1 s × 2^n up to 5 minutes, half of it at random, so that many peers do not come back at once. */
function backoff(core: Core, refusals: number): number {
  const { refusalBackoffMs, refusalBackoffMaxMs } = core.limits
  const full = Math.min(refusalBackoffMs * 2 ** refusals, refusalBackoffMaxMs)
  return full * (0.5 + 0.5 * (core.options.random?.() ?? 1))
}

const refusedText = (code: StorageErrorCode | undefined) => `the storage did not take it (${code ?? 'failed'})`

function errorCodeOf(code: StorageErrorCode | undefined): ErrorCode {
  if (code === 'QUOTA') return 'quota'
  if (code === 'TOO_LARGE') return 'tooLarge'
  return code === 'BUSY' ? 'busy' : 'failed'
}
