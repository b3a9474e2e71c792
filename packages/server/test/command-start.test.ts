/**
 * What the command says and obeys before it listens.
 */
import { execFileSync } from 'node:child_process'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runCommand, spawnCommand } from './command-process.ts'
import { pause, withFolder } from './help.ts'

const timeout = 30_000

test('a port in use is one line on stderr, also on an address that others can reach', { timeout }, async () => {
  const blocker = createServer()
  await new Promise<void>((resolve) => blocker.listen(0, '0.0.0.0', resolve))
  try {
    const { port } = blocker.address() as { port: number }
    const ended = await runCommand(['--host', '0.0.0.0', '--port', `${port}`, '--storage', 'memory:'])
    expect(ended.code).toBe(2)
    expect(ended.stderr).toMatch(/^tidemark-server: [^\n]+\n$/)
  } finally {
    blocker.close()
  }
})

test('SIGTERM ends a command that does not come to listening', { timeout }, () =>
  withFolder(async (folder) => {
    // A token file that nobody writes: reading it never ends.
    const pipe = join(folder, 'tokens')
    execFileSync('mkfifo', [pipe])
    const { child, ended } = spawnCommand(['--port', '0', '--storage', 'memory:', '--token-file', pipe], {})
    try {
      await pause(1_500)
      child.kill('SIGTERM')
      expect(await Promise.race([ended, pause(3_000).then(() => 'still there')])).not.toBe('still there')
    } finally {
      child.kill('SIGKILL')
      await ended
    }
  }),
)
