/**
 * The command with `--upstream`: core, edge and clients, each server a process of its own.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { CommandError, parseCommand } from '../src/command.ts'
import { type Command, runCommand, startCommand } from './command-process.ts'
import { untilAsync, withFolder } from './help.ts'
import { content, jazzClient, load, received, session } from './jazz.ts'

const timeout = 60_000

async function end({ child, ended }: Command): Promise<void> {
  child.kill('SIGKILL')
  await ended
}

test(
  '35: what is written at an edge whose core is away survives killing the edge, and reaches the core',
  { timeout },
  () =>
    withFolder(async (folder) => {
      writeFileSync(join(folder, 'tokens'), 'edge-secret\n', { mode: 0o600 })
      const coreArgs = ['--storage', `sqlite:${join(folder, 'core.db')}`, '--token-file', join(folder, 'tokens')]
      const core = await startCommand([...coreArgs, '--port', '0'])
      const port = new URL(core.url).port
      await end(core)
      const edgeArgs = ['--port', '0', '--storage', `sqlite:${join(folder, 'edge.db')}`, '--upstream', core.url]
      const upstream = ['--upstream-token-file', join(folder, 'tokens')]
      const running: Command[] = []
      try {
        const edge = await startCommand([...edgeArgs, ...upstream])
        running.push(edge)
        const writer = await jazzClient(edge.url)
        writer.say(content('note', 'a', 0, 3))
        await writer.hears(1)
        // Stored and acknowledged: killed at this instant.
        await end(edge)
        running.push(await startCommand([...coreArgs, '--port', port]))
        const again = await startCommand([...edgeArgs, ...upstream])
        running.push(again)
        await untilAsync('it is uploaded', async () => {
          const { upstream } = (await (await again.get('/health')).json()) as { upstream: { owed: number } }
          return upstream.owed === 0
        })
        expect(again.stderr()).toContain('connected to the upstream')
        expect(edge.stderr() + again.stderr()).not.toContain('edge-secret')
        const reader = await jazzClient(`${core.url}/?key=edge-secret`)
        reader.say(load('note'))
        await reader.hears(1)
        expect(received(reader, 'note').get(session('a'))).toHaveLength(3)
        await Promise.all([writer.close(), reader.close()])
      } finally {
        await Promise.all(running.map(end))
      }
    }),
)

test('what cannot be an upstream is one line on stderr', { timeout }, async () => {
  for (const address of ['nowhere', 'http://127.0.0.1:1', '']) {
    expect(() => parseCommand(['--upstream', address])).toThrow(CommandError)
  }
  for (const address of ['ws://127.0.0.1:1/#x', 'wss://core.example#x'])
    expect(() => parseCommand(['--upstream', address])).toThrow('an address without a fragment')
  expect(parseCommand(['--upstream', 'wss://core.example'])).toMatchObject({ upstream: 'wss://core.example' })
  const memory = ['--port', '0', '--storage', 'memory:']
  for (const args of [
    ['--upstream-token-file', 'tokens'],
    ['--upstream', 'ws://127.0.0.1:9', '--upstream-token-file', 'missing'],
  ]) {
    const { code, stderr } = await runCommand([...memory, ...args])
    expect([code, stderr]).toEqual([2, expect.stringMatching(/^tidemark-server: --upstream-token-file: [^\n]+\n$/)])
  }
})
