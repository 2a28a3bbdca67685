/** Listeners by event, called in the order in which they were added. */

/** Functions by the name of what they hear. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- parameters of any event
type EventMap = Record<string, (...parameters: any[]) => void>;

/** The listeners of one object. */
export class EventListeners<M extends EventMap> {
  private readonly listeners = new Map<keyof M, Set<M[keyof M]>>();

  add<K extends keyof M>(name: K, listener: M[K]): void {
    let listeners = this.listeners.get(name);
    if (!listeners) this.listeners.set(name, (listeners = new Set()));
    listeners.add(listener);
  }

  remove<K extends keyof M>(name: K, listener: M[K]): void {
    this.listeners.get(name)?.delete(listener);
  }

  /** A listener that throws harms nobody else; the page hears of it as of any uncaught error. */
  emit<K extends keyof M>(name: K, ...parameters: Parameters<M[K]>): void {
    for (const listener of [...(this.listeners.get(name) ?? [])]) {
      try {
        listener(...parameters);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
