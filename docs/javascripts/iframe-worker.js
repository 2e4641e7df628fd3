// A browser starts no worker from a page that was opened as a file. There a hidden frame does a worker's work, so that
// the search needs no server. MkDocs' offline plugin would fetch such a file from another host; this one lies here.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      this.inside = new Promise((resolve) => {
        frame.addEventListener("load", () => resolve(this.begin(frame.contentWindow, address)), { once: true });
      });
      document.body.append(frame);
    }

    begin(inside, address) {
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      const script = inside.document.createElement("script");
      const loaded = new Promise((resolve) => script.addEventListener("load", () => resolve(inside)));
      script.src = address;
      inside.document.head.append(script);
      return loaded;
    }

    postMessage(data) {
      this.inside.then((inside) => inside.dispatchEvent(new inside.MessageEvent("message", { data })));
    }
  };
}
