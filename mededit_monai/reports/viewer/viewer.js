// Copyright (c) the mededit_monai authors
// SPDX-License-Identifier: Apache-2.0
// Connects NiiVue to the page. Two canvases lie over each other: the counterfactual, which takes all input, and the
// prior, which follows it and of which as much is shown as the divider says.
"use strict";
(() => {
  const find = (name) => document.getElementById(name);
  const query = (selector) => [...document.querySelectorAll(selector)];
  const data = JSON.parse(find("data").textContent);
  const stage = find("stage");

  const { AXIAL, CORONAL, SAGITTAL } = niivue.SLICE_TYPE;
  // Tiles as left, top, width, height; a strip at the top is left to the mark.
  const TOP = 0.055;
  const WIDE = [[AXIAL, 0, TOP, 0.58, 1 - TOP], [CORONAL, 0.59, TOP, 0.41, 0.47], [SAGITTAL, 0.59, 0.53, 0.41, 0.47]];
  const TALL = [[AXIAL, 0, TOP, 1, 0.56], [CORONAL, 0, 0.63, 0.49, 0.37], [SAGITTAL, 0.5, 0.63, 0.5, 0.37]];
  const ALONE = { axial: AXIAL, coronal: CORONAL, sagittal: SAGITTAL };
  const AXIS = { axial: 2, coronal: 1, sagittal: 0 };
  const OPACITY = { region: 0.3, difference: 0.7, displacement: 0.65 };
  const COLOURS = {
    brighter: { R: [244, 244, 255], G: [165, 140, 60], B: [130, 110, 40], A: [0, 170, 255], I: [0, 40, 255] },
    darker: { R: [146, 120, 40], G: [197, 180, 120], B: [222, 230, 255], A: [0, 170, 255], I: [0, 40, 255] },
    region: { R: [64, 64], G: [192, 192], B: [255, 255], A: [0, 255], I: [0, 255] },
    moved: { R: [59, 140, 222, 254, 252], G: [15, 41, 73, 159, 253], B: [112, 129, 104, 109, 191],
      A: [0, 255, 255, 255, 255], I: [0, 64, 128, 192, 255] },
    outline: { R: [0, 255], G: [0, 64], B: [0, 64], A: [0, 255], I: [0, 1], labels: ["", "lesion"] },
  };
  const OPTIONS = {
    logLevel: "warn", backColor: [0, 0, 0, 1], crosshairColor: [0.35, 0.75, 1, 0.8], crosshairWidth: 0.7,
    crosshairWidthUnit: "mm", crosshairGap: 14, isRadiologicalConvention: true, sagittalNoseLeft: true,
    multiplanarShowRender: niivue.SHOW_RENDER.NEVER, dragAndDropEnabled: false, isCornerOrientationText: true, isColorbar: false, isOrientCube: false, show3Dcrosshair: false, loadingText: "",
    dragMode: niivue.DRAG_MODE.windowing, isNearestInterpolation: false, fontMinPx: 11, fontSizeScaling: 0.3,
    viewModeHotKey: "", clipPlaneHotKey: "", cycleClipPlaneHotKey: "",
  };

  const state = { mode: "edit", split: 50, plane: "all", step: data.steps.length - 1, busy: false, low: 0, high: 0 };
  const on = { lesion: true, region: false, difference: false, displacement: false, crosshair: true };
  const edit = new niivue.Niivue(OPTIONS);
  const prior = new niivue.Niivue({ ...OPTIONS, interactive: false });
  const both = [edit, prior];
  const layers = {}; // region, difference and displacement of both canvases

  const unpack = (base64) => niivue.NVImage.loadFromBase64({ base64, name: "image.nii.gz" });

  function layer(nv, name, image, looks) {
    const own = image.clone();
    own.img = image.img;
    Object.assign(own, { name, opacity: 0, colorbarVisible: false }, looks);
    nv.addVolume(own);
    (layers[name] ??= []).push(own);
  }

  async function start() {
    for (const [name, colours] of Object.entries(COLOURS)) edit.addColormap(name, colours);
    await edit.attachToCanvas(find("edit"));
    await prior.attachToCanvas(find("prior"));
    const scan = await unpack(data.prior), lesion = await unpack(data.lesion), first = await step(state.step);
    for (const nv of both) {
      const base = scan.clone();
      Object.assign(base, { name: nv === edit ? "counterfactual" : "prior", colormap: "gray", colorbarVisible: false });
      if (nv === prior) base.img = scan.img;
      nv.addVolume(base);
      layer(nv, "region", first.region, { colormap: "region", cal_min: 0.5, cal_max: 1 });
      layer(nv, "difference", first.difference, {
        colormap: "brighter", colormapNegative: "darker", cal_min: data.change / 20, cal_max: data.change,
        cal_minNeg: -data.change / 20, cal_maxNeg: -data.change,
      });
      if (first.displacement) {
        layer(nv, "displacement", first.displacement, {
          colormap: "moved", cal_min: data.largest_mm / 50, cal_max: data.largest_mm,
        });
      }
      if (lesion.img.some((voxel) => voxel > 0)) nv.loadDrawing(lesion);
      nv.setDrawColormap(COLOURS.outline);
      nv.setInterpolation(false);
    }
    edit.addLabel(`counterfactual: ${data.mark}  `, {
      textColor: [1, 0.77, 0.42, 1], textScale: 1.1, lineWidth: 0, lineColor: [0, 0, 0, 0], bulletScale: 0,
      backgroundColor: [0, 0, 0, 0.6],
    }, undefined, niivue.LabelAnchorPoint.TOPRIGHT);
    state.scan = scan.img;
    show(first);
    bright();
    plane(data.shape.includes(1) ? ["sagittal", "coronal", "axial"][data.shape.indexOf(1)] : "all");
    home();
    mode("edit");
    find("wait").hidden = true;
    new ResizeObserver(() => plane(state.plane)).observe(stage);
    document.body.dataset.ready = "yes";
  }

  const kept = new Map(); // steps that were unpacked, as long as they are not too many
  async function step(index) {
    if (kept.has(index)) return kept.get(index);
    const { difference, region, displacement } = data.steps[index];
    const made = { difference: await unpack(difference), region: await unpack(region),
      displacement: displacement && (await unpack(displacement)) };
    if (data.steps.length * made.difference.img.length < 1e8) kept.set(index, made);
    return made;
  }

  function show(made) {
    const { img } = edit.volumes[0], change = made.difference.img;
    for (let k = 0; k < img.length; k++) img[k] = state.scan[k] + change[k];
    for (const [name, images] of Object.entries(layers)) for (const image of images) image.img = made[name].img;
    update();
  }

  async function choose(index) {
    state.step = Math.min(Math.max(index, 0), data.steps.length - 1);
    const slider = find("step");
    if (!slider) return;
    slider.value = state.step;
    find("stepname").value = data.steps[state.step].name;
    slider.setAttribute("aria-valuetext", data.steps[state.step].name);
    if (state.busy) return; // what is being unpacked will look again
    state.busy = true;
    for (let shown = -1; shown !== state.step; ) show(await step((shown = state.step)));
    state.busy = false;
    readout();
  }

  function update() {
    for (const [name, images] of Object.entries(layers)) {
      for (const image of images) image.opacity = on[name] ? OPACITY[name] : 0;
    }
    for (const nv of both) {
      nv.drawRimOpacity = on.lesion ? 1 : 0;
      nv.drawOpacity = on.lesion ? 0.004 : 0; // of the lesion itself next to nothing, of its rim all
      nv.opts.crosshairWidth = on.crosshair ? OPTIONS.crosshairWidth : 0;
      nv.updateGLVolume();
    }
    for (const button of query("[data-layer]")) button.setAttribute("aria-pressed", on[button.dataset.layer]);
    for (const [name, low, high, unit] of [["difference", -data.change, data.change, ""], ["displacement", 0, data.largest_mm, " mm"]]) {
      const scale = find(`scale-${name}`), ends = scale.querySelectorAll("span");
      scale.hidden = !on[name];
      [ends[0].textContent, ends[1].textContent] = [text(low) + unit, text(high) + unit];
    }
  }

  const text = (value) => Number(value.toPrecision(3)).toString();

  function toggle(name) {
    if (name in OPACITY && !layers[name]) return;
    on[name] = !on[name];
    update();
  }

  function mode(name) {
    state.mode = name;
    find("above").style.visibility = name === "edit" ? "hidden" : "visible";
    find("above").style.clipPath = name === "swipe" ? `inset(0 ${100 - state.split}% 0 0)` : "none";
    find("left").hidden = name === "edit";
    find("right").hidden = name !== "swipe";
    const divider = find("divider");
    divider.hidden = name !== "swipe";
    divider.style.left = `${state.split}%`;
    divider.setAttribute("aria-valuenow", Math.round(state.split));
    for (const button of query("[data-mode]")) button.setAttribute("aria-pressed", button.dataset.mode === name);
  }

  function swipe(split) {
    state.split = Math.min(Math.max(split, 0), 100);
    mode("swipe");
  }

  function plane(name) {
    state.plane = name;
    const all = stage.clientWidth > stage.clientHeight ? WIDE : TALL;
    const tiles = name === "all" ? all : [[ALONE[name], 0, TOP, 1, 1 - TOP]];
    for (const nv of both) nv.setCustomLayout(tiles.map(([sliceType, ...position]) => ({ sliceType, position })));
    for (const button of query("[data-plane]")) button.setAttribute("aria-pressed", button.dataset.plane === name);
  }

  function follow() {
    edit.doSync2d(prior);
    prior.drawScene();
    readout();
  }

  function home() {
    edit.scene.crosshairPos = edit.vox2frac(data.start);
    edit.drawScene();
    follow();
  }

  function scroll(axis, count) {
    const move = [0, 0, 0];
    move[axis] = count;
    edit.moveCrosshairInVox(...move);
    follow();
  }

  function readout() {
    const at = edit.frac2vox(edit.scene.crosshairPos), mm = edit.frac2mm(edit.scene.crosshairPos);
    const value = (image) => image.getValue(...at);
    const before = value(prior.volumes[0]), after = value(edit.volumes[0]);
    const lines = [
      `x ${mm[0].toFixed(1)}  y ${mm[1].toFixed(1)}  z ${mm[2].toFixed(1)} mm`,
      `prior ${text(before)}  counterfactual ${text(after)}`,
      `difference ${text(after - before)}` + (layers.displacement ? `  moved ${text(value(layers.displacement[0]))} mm` : ""),
    ];
    find("readout").textContent = lines.join("\n");
  }

  function brighten(low, high, sliders = true) {
    [state.low, state.high] = [low, high];
    for (const nv of both) {
      Object.assign(nv.volumes[0], { cal_min: low, cal_max: high });
      nv.updateGLVolume();
    }
    if (!sliders) return;
    find("level").value = ((low + high) / 2 / data.bright) * 100;
    find("window").value = ((high - low) / data.bright) * 100;
  }

  const bright = () => brighten(Math.max(data.low, 0), data.bright);

  function slide() {
    const level = (find("level").value / 100) * data.bright, half = (find("window").value / 200) * data.bright;
    brighten(level - half, level + half, false);
  }

  const ARROWS = { ArrowUp: [2, 1], ArrowDown: [2, -1], PageUp: [1, 1], PageDown: [1, -1], ArrowRight: [0, -1], ArrowLeft: [0, 1] };
  const KEYS = {
    b: () => mode(state.mode === "prior" ? "edit" : "prior"),
    s: () => (state.mode === "swipe" ? mode("edit") : swipe(state.split)),
    l: () => toggle("lesion"), r: () => toggle("region"), d: () => toggle("difference"),
    m: () => toggle("displacement"), c: () => toggle("crosshair"),
    0: () => plane("all"), 1: () => plane("axial"), 2: () => plane("coronal"), 3: () => plane("sagittal"),
    "[": () => choose(state.step - 1), "]": () => choose(state.step + 1),
    w: bright, "?": () => find("help").showModal(), Home: home,
  };

  function press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || find("help").open || !document.body.dataset.ready) return;
    const slider = event.target.matches?.("input");
    let done = true;
    if (event.key in ARROWS && !slider) {
      const [axis, sign] = ARROWS[event.key], one = AXIS[state.plane];
      if (state.mode === "swipe" && axis === 0) swipe(state.split - 2 * sign);
      else if (one === undefined) scroll(axis, sign);
      else scroll(one, (event.key.startsWith("Page") ? 5 : 1) * (axis === 0 ? -sign : sign));
    } else if (event.key in KEYS && !(slider && event.key === "Home")) KEYS[event.key]();
    else if (event.key.toLowerCase() in KEYS && event.key.length === 1) KEYS[event.key.toLowerCase()]();
    else done = false;
    if (done) event.preventDefault();
    if (done || event.target === find("edit")) event.stopImmediatePropagation(); // NiiVue has keys of its own
  }

  window.addEventListener("keydown", press, true);
  window.addEventListener("keyup", (event) => event.target === find("edit") && event.stopImmediatePropagation(), true);
  for (const button of query("[data-mode]")) {
    button.onclick = () => (button.dataset.mode === "swipe" ? swipe(state.split) : mode(button.dataset.mode));
  }
  for (const button of query("[data-layer]")) button.onclick = () => toggle(button.dataset.layer);
  for (const button of query("[data-plane]")) button.onclick = () => plane(button.dataset.plane);
  find("start").onclick = home;
  find("reset").onclick = bright;
  find("keys").onclick = KEYS["?"];
  find("level").oninput = find("window").oninput = slide;
  if (find("step")) find("step").oninput = (event) => choose(Number(event.target.value));

  const drag = (event) => {
    const box = stage.getBoundingClientRect();
    swipe(((event.clientX - box.left) / box.width) * 100);
  };
  find("divider").onpointerdown = (event) => event.target.setPointerCapture(event.pointerId);
  find("divider").onpointermove = (event) => event.target.hasPointerCapture(event.pointerId) && drag(event);
  for (const name of ["pointermove", "pointerup", "wheel", "touchmove", "touchend"]) {
    find("edit").addEventListener(name, () => document.body.dataset.ready && requestAnimationFrame(follow), { passive: true });
  }
  find("edit").addEventListener("touchstart", (event) => {
    if (!document.body.dataset.ready || event.touches.length > 1) return;
    const [touch] = event.touches, box = event.target.getBoundingClientRect();
    edit.mouseClick(touch.clientX - box.left, touch.clientY - box.top); // NiiVue misses a tap that is over before it looks
  }, { passive: true });
  edit.onLocationChange = () => document.body.dataset.ready && follow();
  edit.onIntensityChange = (image) => brighten(image.cal_min, image.cal_max);

  start().catch((error) => {
    find("wait").hidden = false;
    find("wait").textContent = `The images cannot be shown: ${error.message ?? error}. The page needs WebGL 2.`;
    throw error;
  });
})();
