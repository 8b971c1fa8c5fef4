"""Label Studio's editor in a headless browser, driven as an annotator would: pointer, keyboard, buttons."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, Page

from tests.waiting import PATIENCE_S

BROWSER_ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions",
]  # fmt: skip

_LOADED = """() => {
  const annotation = window.Htx?.annotationStore?.selected;
  const image = annotation?.objects?.find(object => object.type === 'image');
  return !!image && image.stageWidth > 1 && !!document.querySelector('.konvajs-content canvas');
}"""
_STATE = """() => {
  const annotation = Htx.annotationStore.selected;
  const describe = region => ({id: region.cleanId || region.id, type: region.type, labels: region.labels});
  return {regions: [...annotation.areas.values()].map(describe),
          suggestions: [...annotation.suggestions.values()].map(describe)};
}"""
# Of several images, as on the pages of a Repeater, the one that is to be seen.
_IMAGE_BOX = """() => {
  const images = Htx.annotationStore.selected.objects.filter(object => object.type === 'image');
  const image = images.find(object => object.stageRef?.content?.isConnected) ?? images[0];
  const canvas = image.stageRef?.content ?? document.querySelector('.konvajs-content');
  canvas.scrollIntoView({block: 'center'});
  const box = canvas.getBoundingClientRect(), scale = image.stageScale || 1;
  const align = image.alignmentOffset || {x: 0, y: 0};
  return {x: box.left + align.x + (image.zoomingPositionX || 0), y: box.top + align.y + (image.zoomingPositionY || 0),
          width: image.stageWidth * scale, height: image.stageHeight * scale};
}"""
# The label's place among all .lsf-label elements, which follow the order of the config.
_LABEL_PLACE = """([control, label]) => {
  let place = 0;
  for (const tag of Htx.annotationStore.selected.names.values()) {
    if (!tag.type?.endsWith('labels') || !tag.children) continue;
    for (const child of tag.children) {
      if (child.type !== 'label') continue;
      if (tag.name.split('@')[0] === control && child._value === label) return [place, !!child.selected];
      place += 1;
    }
  }
  return null;
}"""


class Editor:
    """One annotator in one browser window."""

    def __init__(self, browser: Browser, url: str, email: str, password: str) -> None:
        self.url = url
        self._context = browser.new_context(viewport={"width": 1500, "height": 1000}, service_workers="block")
        self._context.set_default_timeout(1000 * PATIENCE_S)
        self.page: Page = self._context.new_page()
        self.page.goto(f"{url}/user/login/")
        self.page.fill("input[name=email]", email)
        self.page.fill("input[name=password]", password)
        self.page.click("button[type=submit]")
        self.page.wait_for_url(lambda now: "/user/login" not in now, wait_until="domcontentloaded")

    def close(self) -> None:
        self._context.close()

    def open(self, project: int, task: int, auto_accept: bool = False, keep_label: bool = True) -> None:
        """Open a task and get ready to click: smart tools on; with `keep_label` labels stay selected."""
        self.page.goto(f"{self.url}/projects/{project}/data?task={task}")
        self.page.wait_for_function(_LOADED)
        self.page.wait_for_timeout(800)
        self._toggle("bottombar-auto-annotation-toggle", True)
        self._toggle("bottombar-auto-accept-toggle", auto_accept)
        keep = "on => { if (Htx.settings.continuousLabeling !== on) Htx.settings.toggleContinuousLabeling() }"
        self.page.evaluate(keep, keep_label)

    def _toggle(self, name: str, on: bool) -> None:
        toggle = self.page.get_by_test_id(name)
        toggle.wait_for(state="attached")
        if toggle.is_checked() != on:
            toggle.click(force=True)  # the input itself is hidden
        self.page.evaluate("() => document.activeElement.blur()")  # a focused toggle swallows hotkeys

    def tool(self, name: str) -> None:
        """Choose a smart tool: key-point-tool or rectangle-tool."""
        button = (
            self.page.locator(".lsf-toolbar > .lsf-toolbar__group")
            .last.locator("> button.lsf-tool_smart")
            .first
        )
        button.hover()  # several smart tools hide behind one button
        self.page.wait_for_timeout(300)
        choice = self.page.locator(f'.lsf-toolbar__smart button[aria-label="{name}"]')
        (choice.first if choice.count() else button).click()
        self.page.mouse.move(10, 500)
        self.page.wait_for_timeout(200)

    def label(self, control: str, label: str) -> None:
        """Select a label of a control, if it is not selected yet."""
        found = self.page.evaluate(_LABEL_PLACE, [control, label])
        assert found is not None, f"no label {label!r} in control {control!r}"
        place, selected = found
        if not selected:
            self.page.locator(".lsf-label").nth(place).click()
            self.page.wait_for_timeout(250)

    def next_page(self) -> None:
        """Turn to the next page of a Repeater."""
        self.page.locator("[class*=pagination] [class*=arrow-right]").first.click()
        self.page.wait_for_timeout(1000)

    def undo(self) -> None:
        """Take the last point back."""
        self.page.keyboard.press("Control+z")
        self.page.wait_for_timeout(500)

    def delete_last(self) -> None:
        """Select the region that came last, and delete it."""
        self.page.evaluate(
            "() => { const a = Htx.annotationStore.selected; a.selectArea([...a.areas.values()].at(-1)) }"
        )
        self.page.keyboard.press("Backspace")
        self.page.wait_for_timeout(500)

    def click(self, x: float, y: float, key: str | None = None) -> None:
        """Click at a share of the image's width and height, with keys held ("Alt" for negative, "Control" to place a
        point where a region would be selected, or both: "Control+Alt"); waits for the answer."""
        left, top = self._at(x, y)
        keys = key.split("+") if key else []
        for name in keys:
            self.page.keyboard.down(name)
        self.page.mouse.move(left, top)
        self.page.mouse.down()
        self.page.wait_for_timeout(50)
        self.page.mouse.up()
        for name in keys:
            self.page.keyboard.up(name)
        self._answered()

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Draw a rectangle; waits for the answer."""
        (x0, y0), (x1, y1) = self._at(*start), self._at(*end)
        self.page.mouse.move(x0, y0)
        self.page.mouse.down()
        self.page.mouse.move((x0 + x1) / 2, (y0 + y1) / 2, steps=4)
        self.page.mouse.move(x1, y1, steps=4)
        self.page.mouse.up()
        self._answered()

    def _at(self, x: float, y: float) -> tuple[float, float]:
        box = self.page.evaluate(_IMAGE_BOX)
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def _answered(self) -> None:
        self.page.wait_for_timeout(250)  # until the editor says that it is waiting
        self.page.wait_for_function("() => !Htx.awaitingSuggestions")
        self.page.wait_for_timeout(300)

    def accept(self, escape: bool = True) -> None:
        """Accept all suggestions with the bottom bar; with `escape` the label is unselected before."""
        if escape:
            self.page.keyboard.press("Escape")
        self.page.get_by_test_id("bottombar-accept-suggestions-button").click()
        self.page.wait_for_function("() => Htx.annotationStore.selected.suggestions.size === 0")
        self.page.wait_for_timeout(500)  # the mask is painted before it can be saved

    def delete(self, region: str) -> None:
        """Select a region by its id and delete it with the key for that."""
        self.page.keyboard.press("Escape")
        choose = """id => { const annotation = Htx.annotationStore.selected;
          annotation.selectArea([...annotation.areas.values()].find(area => area.cleanId === id)) }"""
        self.page.evaluate(choose, region)
        self.page.keyboard.press("Backspace")
        gone = "id => ![...Htx.annotationStore.selected.areas.values()].some(area => area.cleanId === id)"
        self.page.wait_for_function(gone, arg=region)

    def save_draft(self) -> None:
        """Wait until the editor has saved what is on the canvas as a draft."""
        self.page.wait_for_timeout(6_500)  # it saves at most every five seconds

    def submit(self) -> dict[str, Any]:
        """Submit or update; returns the saved annotation."""

        def saving(response: Any) -> bool:
            return "/annotations" in response.url and response.request.method in ("POST", "PATCH")

        with self.page.expect_response(saving) as caught:
            button = self.page.get_by_test_id("bottombar-submit-button")
            (button if button.count() else self.page.get_by_test_id("bottombar-update-button")).first.click()
        return caught.value.json()

    def state(self) -> dict[str, list[dict[str, Any]]]:
        """Regions and pending suggestions: id, type and labels of each."""
        return self.page.evaluate(_STATE)
