import Collectives
import Datasets
import Foundation
import Kernels
import Machine
import ModelLoading
import Planning
import Recipes
import Runs
import SegmentAnything
import Telemetry
import Training
import WeightFiles

/// Collects one rank's facts. A failure to determine a fact is a fact too, so no rank leaves the others waiting.
struct FactCollector {
    let communicator: any Communicator
    let environment: [String: String]
    let launch: Launch

    /// This rank's facts about a recipe. Collective. Throws only `CollectivesError`.
    func facts(recipe path: String?, settings: [String]) throws -> RankFacts {
        var facts = RankFacts(rank: communicator.rank, host: communicator.hostName)
        // Before this examination maps memory of its own.
        let limit = ProcessLimit.tightest()
        facts.launch = LaunchFacts(launch, worldSize: communicator.worldSize)
        facts.program = (try? FileDigest.sha256(of: "/proc/self/exe")) ?? ""
        let (recipeFacts, recipe) = resolve(path, settings)
        facts.recipe = recipeFacts
        facts.kernels = KernelFacts.now(environment)
        facts.network = NetworkFacts.now(environment)
        facts.system = SystemFacts.now(
            temporaryFolder: recipe?.node.folderForTemporaryFiles ?? environment["TMPDIR"] ?? "/tmp")
        if communicator.isRoot, let run = recipe?.run {
            facts.system.runFolder = SystemFacts.RunFolderFacts(
                RunFolder(folder: run.folder, name: run.name))
        }
        facts.cores = try cores(recipe)
        facts.weights = weights(recipe)
        facts.labels = try labels(recipe, facts.recipe)
        facts.memory = memory(recipe, threads: facts.cores.threads)
        facts.memory.limit = limit
        facts.clock = try ClockFacts.measure(communicator)
        return facts
    }

    private func resolve(_ path: String?, _ settings: [String]) -> (RecipeFacts, Recipe?) {
        var facts = RecipeFacts()
        facts.isGiven = path != nil || !settings.isEmpty || !(environment["KEDGE_SET"] ?? "").isEmpty
        let resolved: ResolvedRecipe
        do {
            do {
                resolved = try ResolvedRecipe(path: path, environment: environment, settings: settings)
                let folders = resolved.recipe.data.all.flatMap { source in
                    [source.settings.options.root] + (source.settings.evaluationRoot.map { [$0] } ?? [])
                }
                facts.folders = folders
                facts.missingFolders = folders.filter { access($0 + "/.", R_OK | X_OK) != 0 }
            } catch let error where error.faults.allSatisfy({ $0.key == "data.root" }) {
                // Everything except the images can be checked without their folder.
                resolved = try ResolvedRecipe(
                    path: path, environment: environment, settings: settings + ["data.root=."])
            }
        } catch {
            facts.problem = error.faults.map(\.description).joined(separator: "; ")
            facts.status = (error.isFileMissing ? ExitCode.noInput : .usage).rawValue
            return (facts, nil)
        }
        facts.digest = resolved.recipe.digest
        // Threads may differ: the result does not depend on them.
        let defaults = Recipe()
        facts.settings = resolved.recipe.entries.compactMap { key, value in
            value == defaults.value(of: key.key) || key.key == "execution.threads"
                ? nil : RecipeFacts.Setting(key.key, value.description)
        }
        return (facts, resolved.recipe)
    }

    private func cores(_ recipe: Recipe?) throws -> CoreFacts {
        var facts = CoreFacts()
        let asked = recipe?.execution.threads ?? 0
        (facts.bound, facts.unbound) = (CoreAffinity.current(), CoreAffinity.unbound())
        facts.threads = try ThreadShare.threads(asked: asked, communicator: communicator)
        facts.isAsked = asked > 0
        facts.quota = .now()
        do throws(ResourceShortage) {
            // Beside the compute threads: those that read images, and three that save and watch.
            try SystemThread.probe(facts.threads - 1 + (recipe ?? Recipe()).execution.prefetchThreads + 3)
        } catch {
            facts.shortage = .init(problem: error.problem, remedy: error.remedy)
        }
        facts.yields = ["1", "true"].contains(environment["OMPI_MCA_mpi_yield_when_idle"])
        return facts
    }

    /// Rank 0 reads the weights as in a run.
    private func weights(_ recipe: Recipe?) -> WeightFacts {
        var facts = WeightFacts()
        guard communicator.isRoot, let model = recipe?.model, let path = LoadedModel.weightPath(model) else {
            return facts
        }
        facts.path = path
        do {
            facts.digest = try LoadedModel.weightTable(model.kind, path: facts.path).contentDigest()
        } catch let error as RunError {
            (facts.problem, facts.remedy, facts.status) = (error.problem, error.remedy, error.exitCode.rawValue)
        } catch {
            let isUnreadable = (error as? WeightFileError)?.rule == .fileUnreadable
            (facts.problem, facts.remedy) = (
                "\(error)", "fetch it again with scripts/fetch-weights, or use another file"
            )
            facts.status = (isUnreadable ? ExitCode.noInput : .data).rawValue
        }
        return facts
    }

    /// Rank 0 reads the labels as a run does, of the first images.
    private func labels(_ recipe: Recipe?, _ about: RecipeFacts) throws -> LabelFacts {
        var facts = LabelFacts()
        guard communicator.isRoot, let recipe, about.folders != nil, about.missingFolders.isEmpty else { return facts }
        let alone = try SingleProcessCommunicator()
        do {
            let rehearsal = try RunRehearsal(recipe, limit: LabelFacts.limit, communicator: alone)
            (facts.lines, facts.warnings) = (rehearsal.lines, rehearsal.warnings)
        } catch let error as RunError {
            (facts.problem, facts.remedy, facts.status) = (error.problem, error.remedy, error.exitCode.rawValue)
        } catch let error as DatasetError {
            facts.problem = "\(error.location): \(error.problem)"
            (facts.remedy, facts.status) = (error.remedy, error.exitCode.rawValue)
        } catch {
            facts.problem = "\(error)"
            facts.remedy = "check the data set with kedge data check"
        }
        return facts
    }

    /// The first rank of a node rehearses a step and plans memory for all its ranks.
    private func memory(_ recipe: Recipe?, threads: Int) -> MemoryFacts {
        var facts = MemoryFacts()
        facts.node = NodeMemory.now()
        facts.sharedFree = SystemFacts.free("/dev/shm")
        let hosts = communicator.hostNames
        guard let recipe, hosts.firstIndex(of: communicator.hostName) == communicator.rank,
            let configuration = try? LoadedModel.configuration(recipe.model)
        else { return facts }
        let check = MemoryCheck(
            recipe: recipe, configuration: configuration, threads: threads,
            mostInstances: recipe.prompts.maximumInstances)
        guard let plan = try? check.plan(worldSize: communicator.worldSize) else { return facts }
        facts.plan = MemoryFacts.Plan(
            bytesPerRank: plan.bytesPerRank,
            bytesPerNode: plan.bytes(ranks: hosts.count { $0 == communicator.hostName }),
            weightBytes: plan.weightBytes, sharesWeights: recipe.node.baseMemory == .window, remedy: check.remedy)
        return facts
    }
}
