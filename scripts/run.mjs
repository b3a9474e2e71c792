/**
 * Running one command as if it were this process: same terminal, same signals, same exit code.
 *
 * Several of these are nested in `npm start`. Each passes SIGTERM and SIGHUP on, and looks after its parent: when the
 * process above is gone without a word, the command is stopped too, so no server is left behind.
 */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'

const parentCheckMs = 1_000

/**
 * The exit code of `command`, by the shell's convention (128 + n) where a signal ended it, 127 where it was not found.
 */
export function run(command, args = [], { cwd, env = process.env } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd, env, stdio: 'inherit', shell: needsShell(command) })
    const release = passSignalsTo(child)
    child.once('error', (error) => {
      release()
      console.error(`${command} could not be started: ${error.message}`)
      resolve(127)
    })
    child.once('exit', (code, signal) => {
      release()
      resolve(code ?? 128 + (constants.signals[signal] ?? 0))
    })
  })
}

/** On Windows, commands that came through npm are `.cmd` files, which only a shell can start. */
export function needsShell(command) {
  return process.platform === 'win32' && ['npm', 'npx', 'pnpm'].includes(command)
}

function passSignalsTo(child) {
  const pass = (signal) => {
    // A terminal sends Ctrl-C to every process below it; passed on as well, the command would see it twice.
    if (signal === 'SIGINT' && process.stdin.isTTY) return
    child.kill(signal)
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of signals) process.on(signal, pass)

  const parent = process.ppid
  const watch = setInterval(() => {
    if (process.ppid !== parent) child.kill('SIGTERM')
  }, parentCheckMs)

  return () => {
    clearInterval(watch)
    for (const signal of signals) process.off(signal, pass)
  }
}
