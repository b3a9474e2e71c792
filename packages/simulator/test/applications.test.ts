/**
 * Applications that throw as they start: the failure of their world, with its cause, and not an end of the process that plays it.
 */
import { expect, test } from 'vitest'
import { type Application, calm, type Outcome, simulate, trouble } from '../src/index.ts'

/** Nothing goes wrong but what is planned. */
async function play(application: Application, crashes: boolean): Promise<Outcome> {
  return simulate(
    async (world) => {
      const server = await world.server('server')
      const anna = await world.client('anna', { server, application })
      if (crashes) anna.crash('kept')
      await world.heal()
      await world.pass(1_000)
    },
    1,
    calm,
  )
}

test('an application that throws as it first starts is the failure of its world', async () => {
  const planted = new Error('no such setting')
  const { failure, world } = await play(() => {
    throw planted
  }, false)
  expect(failure).toEqual({ checker: 'error', cause: planted })
  expect(failure?.cause).toBe(planted)
  expect(world.trace.at(-1)).toContain('the application of anna threw Error: no such setting')
})

test('an application that throws as it starts again is, too', async () => {
  const planted = new Error('what I left is not what I find')
  const { failure } = await play(({ number }) => {
    if (number === 2) throw planted
  }, true)
  expect(failure?.cause).toBe(planted)
})

test('so it is where trouble ends and starts a process, before everything heals', async () => {
  const planted = new Error('not twice')
  const { troubles } = calm
  const faults = { ...calm, troubles: { ...troubles, crashes: 5 } }
  const { failure, world } = await simulate(
    async (world) => {
      const server = await world.server('server')
      const application: Application = ({ number }) => {
        if (number === 2) throw planted
      }
      for (const name of ['anna', 'ben']) await world.client(name, { server, application })
      trouble(world, 10_000)
      await world.pass(1_000_000)
    },
    1,
    faults,
  )
  expect(failure?.cause).toBe(planted)
  expect(world.trace.join('\n')).not.toContain('everything heals')
})

test('an application that throws nothing at all is still a failure', async () => {
  const { failure } = await play(() => {
    throw undefined
  }, false)
  expect(failure).toEqual({ checker: 'error', cause: undefined })
})

test('a process that is ended as it starts is not waited for', async () => {
  const { failure } = await simulate(
    async (world) => {
      const server = await world.server('server')
      world.after(5_000, () => world.clients[0]?.crash('kept'))
      await world.client('anna', { server })
      await world.pass(1_000)
    },
    1,
    { ...calm, disk: { ...calm.disk, synchronous: 0, fails: 1 } },
  )
  expect(failure).toBeUndefined()
})
