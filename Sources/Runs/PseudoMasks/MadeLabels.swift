import AdaptationMethods
import Datasets
import Interaction
import Recipes
import SegmentAnything

/// Which labels the unadapted model makes of a source's images before training.
enum MadeLabels: Sendable {
    /// Masks of everything it finds.
    case found
    /// Masks of annotated boxes, points or outlines.
    case completed

    /// What they are called in messages.
    var name: String { self == .completed ? "pseudo masks" : "automatic labels" }
}

extension Recipe {
    /// The labels that are made of a source's images; nil where its own are used.
    func madeLabels(of source: SourceSettings) -> MadeLabels? {
        switch prompts.source {
        case .automatic: .found
        case .pseudo: .completed
        default:
            switch source.supervision {
            case .full: nil
            case .weak: .completed
            case .none: .found
            }
        }
    }

    /// Whether labels are made for any source.
    var makesLabels: Bool { data.all.contains { madeLabels(of: $0.settings) != nil } }

    /// Rules of a method that learns from sources with and without masks, and of those that do not.
    var pseudoMaskFaults: [SettingFault] {
        guard let plan = adaptationMethod.pseudoMasks else {
            // Weak labels are prompts whoever made them.
            let takesMasks = !prompts.source.isMadeByModel && prompts.source != .annotations
            if !adaptationMethod.needs.masks, adaptationMethod.trains, takesMasks { return [] }
            return data.all.filter { $0.settings.supervision != .full }.map { source in
                SettingFault(
                    key: key(of: source, "supervision"),
                    rule: prompts.source != .simulated
                        ? "must be full with prompts.source=\(prompts.source.rawValue), which states where all labels come from"
                        : "must be full: \(method.name) learns from all images alike; for images without masks choose "
                            + "method.name=\(Self.mixingMethods) or wesam")
            }
        }
        var faults: [SettingFault] = []
        func check(_ isRight: Bool, _ key: String, _ rule: String) {
            if !isRight { faults.append(SettingFault(key: key, rule: rule)) }
        }
        let trained = data.all.filter { $0.settings.split != .evaluate }
        check(
            !prompts.source.isMadeByModel, "prompts.source",
            "must be as by default; name two sources and set data.sources.NAME.supervision=none or weak for the one without masks"
        )
        check(
            trained.contains { $0.settings.supervision == .full }, "data.sources",
            "has no source with masks, so nothing teaches \(method.name) what is wanted; name one with supervision=full, or choose "
                + "method.name=wesam, which needs no masks")
        check(
            trained.contains { $0.settings.supervision != .full }, "data.sources",
            "has no source without masks; give one supervision=none (or weak, with boxes or points), or choose "
                + "method.name=interactive, which learns from masks alone")
        check(
            plan.uncertainty == .none || data.flips == .never, "data.flips",
            "must be none with method.name=\(method.name): maps of uncertainty are not mirrored")
        check(
            automatic.cropLayers == 0, "automatic.cropLayers",
            "must be 0 with method.name=\(method.name): masks of crops cannot be refined")
        check(
            automatic.minimumRegionArea == 0, "automatic.minimumRegionArea",
            "must be 0 with method.name=\(method.name): the labels are the model's own logits")
        return faults
    }

    /// Sources with a kind of task, for a method that reads none.
    var taskFaults: [SettingFault] {
        guard !adaptationMethod.needs.task else { return [] }
        let able = MethodRegistry.known.names.filter { (try? MethodRegistry.known.make($0).needs.task) ?? false }
        return data.all.filter { $0.settings.task != .none }.map { source in
            SettingFault(
                key: key(of: source, "task"),
                rule:
                    "must be none: \(method.name) reads no kind of task; methods that do: \(able.joined(separator: ", "))"
            )
        }
    }

    private static var mixingMethods: String {
        MethodRegistry.known.names.filter {
            (try? MethodRegistry.known.make($0).pseudoMasks) ?? nil != nil
        }.joined(separator: ", ")
    }

    private func key(of source: NamedSection<SourceSettings>, _ name: String) -> String {
        data.sources.isEmpty ? "data.\(name)" : "data.sources.\(source.name).\(name)"
    }
}
