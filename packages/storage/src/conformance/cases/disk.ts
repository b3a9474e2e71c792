/**
 * What disks and processes do: fail, fill up, be killed, be opened twice.
 */
import { EMPTY } from '@tidemark/known-state'
import type { Append, AppendResult, Awaitable, Storage } from '../../contract.ts'
import { isHonoured } from '../../generation.ts'
import { failsWith, holds, same, show, started } from '../assert.ts'
import { accepted, bytes, text } from '../build.ts'
import { readsBack } from '../model.ts'
import { group, type StorageCase, scenario } from '../subject.ts'

const ONE = bytes.content('x', [bytes.run('a', 0, 3), bytes.run('b', 0, 3)])
const MORE = bytes.content('x', [bytes.run('a', 3, 6), bytes.run('b', 3, 6)], { header: false })
const OTHER = bytes.content('y', [bytes.run('a', 0, 3), bytes.run('b', 0, 3)])
const IN_TURN: readonly Append[] = [ONE, OTHER, MORE]

export const disk: readonly StorageCase[] = group('disk', [
  scenario('a failing read is an error and never absence', ['failNext'], async ({ storage, subject }) => {
    await storage.append([ONE])
    const calls: readonly (() => Awaitable<unknown>)[] = [
      () => storage.knownStates(['x', 'y']),
      () => storage.headers(['x']),
      () => storage.read('x', EMPTY, { bytesMax: 1000 }),
    ]
    for (const call of calls) {
      await subject.failNext?.('read', 'IO')
      await failsWith('IO', call, 'a call whose read fails')
    }
    await readsBack(storage, [ONE])
  }),

  scenario(
    'a failing write is an error, leaves documents whole, and the next write works',
    ['failNext'],
    async ({ storage, subject }) => {
      await storage.append([ONE])
      await subject.failNext?.('write', 'IO')
      await notAcknowledged(storage, [MORE, OTHER], 'IO')
      await wholeOrUnchanged(storage)
      for (const result of await storage.append([MORE, OTHER])) accepted(result)
      await readsBack(storage, [ONE, MORE])
      await readsBack(storage, [OTHER])
    },
  ),

  scenario(
    'a full disk is QUOTA, leaves documents whole, and the next write works',
    ['failNext'],
    async ({ storage, subject }) => {
      await storage.append([ONE])
      await subject.failNext?.('write', 'QUOTA')
      await notAcknowledged(storage, [MORE, OTHER], 'QUOTA')
      await wholeOrUnchanged(storage)
      for (const result of await storage.append([MORE, OTHER])) accepted(result)
      await readsBack(storage, [ONE, MORE])
    },
  ),

  scenario(
    'a failing write to one of several documents with many sessions leaves its known state what is stored',
    ['failNext', 'reopen'],
    async ({ storage, subject, reopened }) => {
      const names = Array.from({ length: 40 }, (_, index) => `s${index}`)
      const ids = ['x', 'y', 'z']
      const first = (id: string) =>
        bytes.content(
          id,
          names.map((name) => bytes.run(name, 0, 1)),
        )
      for (const id of ids) accepted((await storage.append([first(id)]))[0])
      const more = (id: string) => bytes.content(id, [bytes.run('s7', 1, 2)], { header: false })
      for (const id of ids) {
        await subject.failNext?.('write', 'QUOTA')
        // It may have been stored all the same, by a second attempt.
        await started(() => storage.append([more(id)])).catch(() => {})
        const [state] = await storage.knownStates([id])
        await readsBack(storage, state?.known.sessions.get('s7') === 2 ? [first(id), more(id)] : [first(id)], [1000])
      }
      for (const id of ids) accepted((await storage.append([more(id)]))[0])
      const again = await reopened()
      for (const id of ids) await readsBack(again.storage, [first(id), more(id)], [1000])
    },
  ),

  scenario(
    'marks of a failing batch are set with all its contents or not at all',
    ['failNext'],
    async ({ storage, subject }) => {
      await storage.append([ONE], { marks: new Map([['m', text('old')]]) })
      await subject.failNext?.('write', 'IO')
      const batch = [MORE, OTHER]
      const results = await started(() => storage.append(batch, { marks: new Map([['m', text('new')]]) })).catch(
        () => [],
      )
      const [x, y] = await storage.knownStates(['x', 'y'])
      const stored = x?.known.sessions.get('a') === 6 && y !== undefined
      // Whoever is told of a failure must not find a mark that says otherwise.
      const whole = stored && !results.some((result) => 'failed' in result)
      same(await storage.marks({ prefix: '', limit: 9 }), [['m', text(whole ? 'new' : 'old')]], 'marks')
    },
  ),

  scenario(
    'a failing write of several that were not waited for: each is told, and what is acknowledged is stored',
    ['failNext'],
    async ({ storage, subject }) => {
      await storage.append([ONE])
      await subject.failNext?.('write', 'IO')
      const batch = [MORE, OTHER, bytes.content('z')]
      const outcomes = await Promise.allSettled(batch.map((content) => started(() => storage.append([content]))))
      for (const [index, outcome] of outcomes.entries()) {
        if (outcome.status === 'rejected') {
          await failsWith('IO', () => Promise.reject(outcome.reason), 'an append that shares its write with others')
          continue
        }
        const [result] = outcome.value
        const [state] = await storage.knownStates([(batch[index] as Append).id])
        if (result !== undefined && 'failed' in result) same(result.failed, 'IO', 'why it failed')
        else same(state?.known, accepted(result).known, 'state of a document that was acknowledged')
      }
      await wholeOrUnchanged(storage)
      for (const result of await storage.append(batch)) accepted(result)
      await readsBack(storage, [ONE, MORE])
    },
  ),

  scenario(
    'what was acknowledged is there after the process was killed',
    ['kill'],
    async ({ storage, subject, open }) => {
      const contents = [ONE, MORE]
      for (const content of contents)
        accepted((await storage.append([content], { marks: new Map([['m', text('1')]]) }))[0])
      const again = await open(subject.kill?.())
      await readsBack(again.storage, contents)
      same(await again.storage.marks({ prefix: '', limit: 9 }), [['m', text('1')]], 'marks')
      accepted((await again.storage.append([OTHER]))[0])
    },
  ),

  scenario(
    'what was not acknowledged when the process was killed is whole or not there',
    ['kill'],
    async ({ storage, subject, open }) => {
      accepted((await storage.append([ONE]))[0])
      const append = started(() => storage.append([MORE, OTHER]))
      const again = await open(subject.kill?.())
      await append.catch(() => {})
      await wholeOrUnchanged(again.storage)
      for (const result of await again.storage.append([MORE, OTHER])) accepted(result)
      await readsBack(again.storage, [ONE, MORE])
    },
  ),

  scenario(
    'a tail that was lost with the power leaves all before it, and the next append is readable',
    ['loseTail'],
    async ({ storage, subject, open }) => {
      await appendInTurn(storage)
      const again = await open(subject.loseTail?.())
      const left = await prefixOf(again.storage)
      for (const content of IN_TURN.slice(left)) accepted((await again.storage.append([content]))[0])
      await readsBack(again.storage, [ONE, MORE])
      await readsBack(again.storage, [OTHER])
    },
  ),

  scenario(
    'what was lost with the power may come differently, and marks that were taken of it are not honoured',
    ['loseTail', 'changes'],
    async ({ storage, opened, subject, open }) => {
      await appendInTurn(storage)
      const mark = { id: opened.generation.id, sequence: await sequenceOf(storage) }
      const again = await open(subject.loseTail?.())
      const left = await prefixOf(again.storage)
      // Nothing was lost: then there is nothing to tell apart.
      if (left === IN_TURN.length) return
      const honoured = async () => isHonoured(mark, again.opened.history ?? [], await sequenceOf(again.storage))
      same(await honoured(), false, 'whether a mark of what was lost is honoured')
      const others = ['z', 'zz', 'zzz'].map((id) => bytes.content(id))
      const different = bytes.content('x', [bytes.run('a', 3, 6, { salt: 'different' })], { header: false })
      for (const content of [...IN_TURN.slice(left, -1), ...others, different])
        accepted((await again.storage.append([content]))[0])
      same(await honoured(), false, 'whether it is, after as many changes again')
    },
  ),

  scenario('a second opener is told BUSY, or shares what is there', ['second'], async ({ storage, subject, open }) => {
    accepted((await storage.append([ONE]))[0])
    const outcome = await open(subject.second?.()).catch((cause: unknown) => cause)
    if (outcome instanceof Error) {
      await failsWith('BUSY', () => Promise.reject(outcome), 'opening what is open')
    } else {
      const second = outcome as Awaited<ReturnType<typeof open>>
      await readsBack(second.storage, [ONE])
      accepted((await second.storage.append([OTHER]))[0])
      await readsBack(storage, [OTHER])
    }
    accepted((await storage.append([MORE]))[0])
    await readsBack(storage, [ONE, MORE])
  }),

  scenario('a store that may not be written says so and is read', ['readOnly'], async ({ storage, subject, open }) => {
    accepted((await storage.append([ONE]))[0])
    await storage.close()
    const { storage: reader, opened } = await open(subject.readOnly?.())
    same(opened.writable, false, 'writable')
    await failsWith('READ_ONLY', () => reader.append([MORE]), 'append')
    await failsWith('READ_ONLY', () => reader.append([], { marks: new Map([['m', text('1')]]) }), 'append of a mark')
    const { maps, erase } = opened.capabilities
    if (maps)
      await failsWith(
        'READ_ONLY',
        () => reader.mergeMap('m', new Map([['k', { version: [1, 'a'], bytes: text('v') }]])),
        'mergeMap',
      )
    if (erase) await failsWith('READ_ONLY', () => reader.erase('x', [1, 'a'], { keep: [] }), 'erase')
    await readsBack(reader, [ONE])
  }),
])

/** Rejected with `code`, or answered with `failed` for each document that was not stored; never acknowledged. */
async function notAcknowledged(storage: Storage, batch: readonly Append[], code: 'IO' | 'QUOTA'): Promise<void> {
  let results: readonly AppendResult[]
  try {
    results = await storage.append(batch)
  } catch (cause) {
    await failsWith(code, () => Promise.reject(cause), 'append whose write fails')
    return
  }
  holds(
    results.some((result) => 'failed' in result && result.failed === code),
    `a result that failed with ${code}, got ${show(results)}`,
  )
  for (const [index, result] of results.entries()) {
    const [state] = await storage.knownStates([(batch[index] as Append).id])
    if (!('failed' in result)) same(state?.known, result.state?.known, 'state of a document that was answered for')
  }
}

/** One append after the other, each with a mark that says how many there were. */
async function appendInTurn(storage: Storage): Promise<void> {
  for (const [index, content] of IN_TURN.entries()) {
    const marks = new Map([['appends', text(String(index + 1))]])
    accepted((await storage.append([content], { marks }))[0])
  }
}

async function sequenceOf(storage: Storage): Promise<number> {
  return (await storage.changes({ since: 0, limit: 9 })).at(-1)?.sequence ?? 0
}

/** How many of them are there: whole, the first ones, and their marks with them. */
async function prefixOf(storage: Storage): Promise<number> {
  const [x, y] = await storage.knownStates(['x', 'y'])
  const there = [x !== undefined, y !== undefined, x?.known.sessions.get('a') === 6].lastIndexOf(true) + 1
  for (const id of ['x', 'y']) {
    const contents = IN_TURN.slice(0, there).filter((content) => content.id === id)
    if (contents.length > 0) await readsBack(storage, contents)
  }
  const marks = there === 0 ? [] : [['appends', text(String(there))]]
  same(await storage.marks({ prefix: '', limit: 9 }), marks, 'the marks of what is there')
  return there
}

/** x as after ONE or after ONE and MORE, y absent or as after OTHER. */
async function wholeOrUnchanged(storage: Storage): Promise<void> {
  const [x, y] = await storage.knownStates(['x', 'y'])
  await readsBack(storage, x?.known.sessions.get('a') === 6 ? [ONE, MORE] : [ONE])
  if (y !== undefined) await readsBack(storage, [OTHER])
}
