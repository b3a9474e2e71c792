/**
 * Asking all layers what they hold of some documents, and joining what they say.
 *
 * L1: the join is an answer when every readable layer answered or was given up. L2: what was given up makes the answer partial: it
 * may give, it may not deny, so a document that only silent layers may have is a failure and not an absence.
 * A remote layer is asked last, with what the others hold. Not here: contents (`read.ts`, `load.ts`).
 */
import { covers, EMPTY, equals, type KnownState, union } from '@tidemark/known-state'
import { type CallOptions, type Storage, StorageError, type StoredState } from '@tidemark/storage'
import { type Core, readers, voters, votesNeeded, vouching } from './core.ts'
import { forksOf, heldBy, inStep, joinOf } from './join.ts'
import { codeOf, type Layer, TimedOut } from './layer.ts'
import type { Sight } from './seen.ts'
import { isSpokenOf } from './taking-up.ts'

export interface Silence {
  readonly layer: Layer
  readonly cause: unknown
}

/** What all layers say of `ids`; those that did not answer are in the result, as are their causes. */
export async function ask(core: Core, ids: readonly string[], patient = false): Promise<readonly Silence[]> {
  const asked = readers(core)
  const local = asked.filter((layer) => !layer.remote)
  const silences = await Promise.all(local.map((layer) => askLayer(core, layer, ids, patient)))
  const have = () => ids.map((id) => stateOf(core, id)?.known)
  const remote = asked.filter((layer) => layer.remote)
  silences.push(...(await Promise.all(remote.map((layer) => askLayer(core, layer, ids, patient, have())))))
  for (const id of ids) tellGrowth(core, id)
  return silences.filter((silence) => silence !== undefined)
}

/** More is known of a document than was answered, and not by a write: whoever watches learns of it before it is answered. */
export function tellGrowth(core: Core, id: string): void {
  const sight = core.seen.of(id)
  const told = sight?.told ?? core.seen.unsure.get(id)
  const known = stateOf(core, id)?.known ?? EMPTY
  if (told === undefined || covers(sight?.announced ?? told, known)) return
  core.seen.announce(id, known)
  core.changed(id, told)
}

/** What was answered last of a document; all that is known of one that nobody was told of. */
export function toldOf(core: Core, id: string): KnownState | undefined {
  return core.seen.of(id)?.told ?? stateOf(core, id)?.known
}

/** Asks one layer and notes what it says; what comes back is why it said nothing. */
export async function askLayer(
  core: Core,
  layer: Layer,
  ids: readonly string[],
  patient: boolean,
  have?: readonly (KnownState | undefined)[],
): Promise<Silence | undefined> {
  const asked = core.seen.tick()
  try {
    const options = have === undefined ? {} : { have }
    const look = (storage: Storage, given: CallOptions) => storage.knownStates(ids, { ...options, ...given })
    const states = await layer.call('look', look, patient)
    let isHeard = true
    for (const [index, id] of ids.entries()) {
      if (!core.seen.heard(id, layer, states[index], asked)) isHeard = false
      if (layer.corrupt.get(id) === EMPTY) layer.corrupt.delete(id)
    }
    return isHeard ? undefined : { layer, cause: new StorageError('IO', `layer ${layer.name}: it fell silent since`) }
  } catch (cause) {
    // One damaged document is not the failure of its neighbours.
    if (codeOf(cause) === 'CORRUPT' && ids.length > 1) {
      const silences = await Promise.all(ids.map((id) => askLayer(core, layer, [id], patient)))
      return silences.find((silence) => silence !== undefined)
    }
    // What a slow layer said that it holds stands: nobody else writes to it. A remote one has other writers. Absence is to be said again.
    const stands = (id: string) => remembers(core, layer, id) && core.seen.of(id)?.states.get(layer) !== undefined
    const unsaid = isTimeout(cause) && !layer.remote ? ids.filter((id) => !stands(id)) : ids
    if (unsaid.length === 0) return undefined
    for (const id of unsaid) {
      core.seen.silent(id, layer)
      if (codeOf(cause) === 'CORRUPT') tellCorrupt(core, id, layer)
    }
    return { layer, cause }
  }
}

/** Once, until the layer holds something else of it, or says again what it holds. */
export function tellCorrupt(core: Core, id: string, layer: Layer): void {
  const held = core.seen.of(id)?.states.get(layer)?.known ?? EMPTY
  const told = layer.corrupt.get(id)
  if (told !== undefined && equals(told, held)) return
  layer.corrupt.delete(id)
  layer.corrupt.set(id, held)
  const [longest] = layer.corrupt.keys()
  if (layer.corrupt.size > core.limits.rememberedMax) layer.corrupt.delete(longest as string)
  core.events.emit({ kind: 'corrupt', id, layer: layer.name })
}

function remembers(core: Core, layer: Layer, id: string): boolean {
  const sight = core.seen.of(id)
  return sight?.states.has(layer) === true && !sight.doubtful.has(layer)
}

/** What is known of a document without asking again, if every readable layer was asked. */
export function sightOf(core: Core, id: string): Sight | undefined {
  const sight = core.seen.of(id)
  const asked = readers(core)
  return asked.length > 0 && asked.every((layer) => remembers(core, layer, id)) ? sight : undefined
}

/**
 * States in order of preference, and the forks that they show. A document does not come back while the layer that it was erased in is silent: whoever
 * was told of the erasure would be sent all of it anew. As long as that is remembered; afterwards it is what the others say, until it answers.
 */
function statesOf(core: Core, id: string, layers: readonly Layer[]): readonly StoredState[] {
  const sight = core.seen.of(id)
  const answering = layers.filter((layer) => sight?.states.get(layer) !== undefined)
  // L2: of what nobody who answers has, nothing is said.
  const erased = answering.length > 0 ? layers.filter((layer) => sight?.stood.get(layer)?.erased !== undefined) : []
  const holding = [...answering, ...erased]
  const states = holding.map((layer) => (sight?.states.get(layer) ?? sight?.stood.get(layer)) as StoredState)
  const forks = forksOf(states)
  const names = holding.map((layer) => layer.name)
  if (forks === 'document') core.forks.freeze(id, undefined, names)
  else for (const session of forks) core.forks.freeze(id, session, names)
  return states
}

/** The join of what was last seen. */
export function stateOf(core: Core, id: string): StoredState | undefined {
  return joinOf(statesOf(core, id, readers(core)), core.forks.of(id))
}

export function silentLayers(core: Core, id: string): readonly Layer[] {
  const sight = core.seen.of(id)
  const asked = readers(core)
  // Where there are only caches nobody can deny anything.
  if (asked.length === 0) return core.layers
  return asked.filter((layer) => !sight?.states.has(layer))
}

/**
 * As `stateOf`, with what it may not be taken for: `partial` while a layer is silent (L2), `durable` where the write policy is not
 * fulfilled (L3).
 */
export function answerOf(core: Core, id: string): StoredState | undefined {
  const state = stateOf(core, id)
  if (state === undefined) return undefined
  const partial = silentLayers(core, id).length > 0
  const durable = durableOf(core, id, state)
  if (!partial && durable === undefined) return state
  return { ...state, ...(partial && { partial }), ...(durable !== undefined && { durable }) }
}

/**
 * L3: what may be acknowledged, where that is less than what is held: it counts only where it is stored, since a write may have ended with its process
 * between two layers. A layer that is silent, or is being refilled (it is new, or was wiped), takes nothing back of what was acknowledged: it counts for
 * what others have that it would be flagged for. What it is flagged for was not acknowledged, nor was what it was handed and has not stored yet: of
 * that it counts for what it said before it fell silent. Of a session that is a fork each counts for its own part.
 */
function durableOf(core: Core, id: string, state: StoredState): KnownState | undefined {
  const voting = voters(core)
  if (voting.length === 0) return undefined
  const sight = core.seen.of(id)
  const heldIn = (layer: Layer) => sight?.states.get(layer) ?? sight?.stood.get(layer)
  const mayLack = (layer: Layer) => core.dirty.has(layer, id) || layer.owing.has(id)
  const isFlagged = voting.some((layer) => core.dirty.has(layer, id))
  const isSilent = (layer: Layer) => !sight?.states.has(layer)
  const excused = (layer: Layer) =>
    !mayLack(layer) && isSpokenOf(core, layer) && (isSilent(layer) || (layer.refilling && !isFlagged))
  const said = (layer: Layer) => heldIn(layer)?.known
  const noted = vouching(core).reduce((known, layer) => union(known, said(layer) ?? EMPTY), EMPTY)
  const counting = (layer: Layer) => {
    const known = said(layer)
    // What an erasure did not keep in a layer that one can not be given any more. One that is not erased is given it before it is.
    if (heldIn(layer)?.erased !== undefined || !excused(layer)) return known
    return layer.refilling ? union(known ?? EMPTY, noted) : (known ?? noted)
  }
  const durable = heldBy(voting.map(counting), votesNeeded(core, voting.length), state.known)
  return covers(durable, state.known) ? undefined : { header: state.known.header, sessions: durable.sessions }
}

/** Whether as many layers hold all of it as the write policy wants. */
export function isSafe(core: Core, id: string, state: StoredState): boolean {
  const sight = core.seen.of(id)
  const voting = voters(core)
  const holding = voting.filter((layer) => inStep(sight?.states.get(layer), state, core.forks.of(id)))
  return holding.length >= votesNeeded(core, voting.length)
}

/** Whether some layer that is to be written lacks what others hold. */
export function isBehind(core: Core, id: string, layer: Layer): boolean {
  const states = core.seen.of(id)?.states
  return states?.has(layer) === true && !inStep(states.get(layer), stateOf(core, id), core.forks.of(id))
}

/** Whether a layer is known to have all of what is known of a document. */
export function isInStep(core: Core, id: string, layer: Layer): boolean {
  return remembers(core, layer, id) && !isBehind(core, id, layer)
}

/** The answer for a peer: the join, or a failure where it would be a denial that a silent layer might contradict. */
export async function lookUp(core: Core, ids: readonly string[]): Promise<readonly (StoredState | undefined)[]> {
  if (ids.length === 0) return []
  const silences = await ask(core, ids)
  return ids.map((id) => {
    const state = answerOf(core, id)
    const silent = silentLayers(core, id)
    // Also a layer that was detached meanwhile did not answer this question.
    if (state === undefined && silences.length + silent.length > 0) {
      if (silent.length > 0) core.seen.failed(id)
      throw unknown(id, silences)
    }
    answer(core, id, state?.known ?? EMPTY)
    if (silent.length === 0) completed(core, id)
    else core.seen.noteUnsure(id, state?.known ?? EMPTY)
    if (state !== undefined || silent.length > 0) core.background.consider(id, 'load')
    return state
  })
}

/** Less than was told, since a layer is silent or lost something: whoever watches notes before what peers hold that are in step. */
function answer(core: Core, id: string, known: KnownState): void {
  const told = core.seen.of(id)?.told
  if (told !== undefined && !covers(known, told)) core.changed(id, told)
  core.seen.tell(id, known)
}

/** L1: whoever was given a partial answer is told when it is whole. */
export function completed(core: Core, id: string): void {
  const answered = core.seen.unsure.get(id)
  if (answered === undefined || silentLayers(core, id).length > 0) return
  core.seen.unsure.delete(id)
  core.changed(id, answered)
}

export function unknown(id: string, silences: readonly Silence[]): StorageError {
  const names = silences.map(({ layer }) => layer.name).join(', ')
  const cause = silences[0]?.cause
  const code = codeOf(cause) ?? 'IO'
  return new StorageError(
    code,
    `${JSON.stringify(id)} has nothing more in any layer that answered; ${names || 'a layer'} did not`,
    cause,
  )
}

export const isTimeout = (cause: unknown): boolean => cause instanceof TimedOut
